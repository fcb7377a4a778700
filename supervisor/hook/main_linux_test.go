package hook

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
	"go.uber.org/goleak"
)

// childVar makes the test binary a process that a test starts: a name out of
// childParts.
const childVar = "HOOK_TEST_CHILD"

var childParts = map[string]func() int{"hup": hupMain, "stray": strayMain}

func TestMain(m *testing.M) {
	if part := os.Getenv(childVar); part != "" {
		os.Exit(childParts[part]())
	}
	// Under the race detector every process would take a second to end.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	goleak.VerifyTestMain(m)
}

// hupMain says that it is ready, and then the name of each SIGHUP.
func hupMain() int {
	heard := make(chan os.Signal, 10)
	signal.Notify(heard, syscall.SIGHUP)
	fmt.Println("ready")
	for sig := range heard {
		fmt.Println(signals.Name(sig.(syscall.Signal)))
	}
	return 0
}

// strayMain moves to its parent's process group, writes its pid to the file that
// it is given, and stays.
func strayMain() int {
	group, err := syscall.Getpgid(os.Getppid())
	if err == nil {
		err = syscall.Setpgid(0, group)
	}
	if err == nil {
		err = os.WriteFile(os.Args[1], fmt.Appendln(nil, os.Getpid()), 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	time.Sleep(time.Hour)
	return 0
}

func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
