//go:build unix

package supervisor

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
	"go.uber.org/goleak"
)

// childVar makes the test binary the process that a helper runs: a name out of
// childParts.
const childVar = "SUPERVISOR_TEST_CHILD"

func TestMain(m *testing.M) {
	if part := os.Getenv(childVar); part != "" {
		os.Exit(childParts[part]())
	}
	// Most of them wait for processes, not for a processor.
	flag.Parse()
	_ = flag.Set("test.parallel", "4")
	// In the background of a script, or under nohup, some signals are ignored, and
	// would be in every process that a test starts.
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	// Under the race detector every process would take a second to end.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	goleak.VerifyTestMain(tests{m})
}

// tests are the tests, and what is to be put away after them.
type tests struct{ *testing.M }

func (m tests) Run() int {
	code := m.M.Run()
	removeProduct()
	if code == 0 {
		// What ends by itself is no leak, however long a busy machine takes.
		for end := time.Now().Add(patience); goleak.Find() != nil && time.Now().Before(end); {
		}
	}
	return code
}

// childParts are the processes that the tests run.
var childParts = map[string]func() int{
	"record": recordMain,
}

// recordMain writes to the file that it is given, or to stdout, "ready", and the
// name of each signal that it gets. It ends with status 42 at SIGTERM, unless
// it is told to be stubborn, and handles none for a while if it is to be slow.
func recordMain() int {
	out := os.Stdout
	if len(os.Args) > 1 && os.Args[1] != "-" {
		f, err := os.OpenFile(os.Args[1], os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		out = f
	}
	if slices.Contains(os.Args, "slow") {
		time.Sleep(300 * time.Millisecond) // until it handles anything
	}
	time.AfterFunc(10*patience, func() { os.Exit(1) }) // the test has died
	heard := make(chan os.Signal, 2000)
	switch arg := func(s string) bool { return slices.Contains(os.Args, s) }; {
	case arg("hup"):
		signal.Notify(heard, syscall.SIGTERM, syscall.SIGHUP)
	case arg("hup later"):
		signal.Notify(heard, syscall.SIGTERM)
		time.Sleep(50 * time.Millisecond)
		signal.Notify(heard, syscall.SIGHUP)
	case arg("usr2"):
		signal.Notify(heard, syscall.SIGTERM, syscall.SIGUSR2)
	default:
		signal.Notify(heard)
	}
	fmt.Fprintln(out, "ready", os.Getpid())
	for sig := range heard {
		switch sig {
		case syscall.SIGURG, syscall.SIGCHLD:
			continue // the runtime's own
		}
		fmt.Fprintln(out, signals.Name(sig.(syscall.Signal)))
		if sig == syscall.SIGTERM && !slices.Contains(os.Args, "stubborn") {
			return 42
		}
	}
	return 0
}

// testChild returns a Spec for a part of childParts.
func testChild(part string, args ...string) Spec {
	return Spec{
		Command: append([]string{testBinary()}, args...),
		Env:     []string{childVar + "=" + part},
	}
}

func testBinary() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// writeProgram writes a file to be executed. The kernel refuses to execute one
// that somebody has open for writing, as a child would that is forked meanwhile.
func writeProgram(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// linger is a loop that hears signals, and ends some minutes later, even if the test
// has died before it could end the shell.
const linger = "while [ $((turn+=1)) -lt 20000 ]; do sleep 0.02; done"

// shell returns a command that runs the script, in which the word linger stands for
// that loop.
func shell(script string, args ...string) []string {
	return append([]string{"sh", "-c", strings.ReplaceAll(script, "linger", linger), "sh"}, args...)
}

var discard = slog.New(slog.DiscardHandler)

// patience is how long a test waits for what has to happen on a busy machine.
const patience = time.Minute

// hops is how often, at most, one process waits for another to run in what is
// measured here.
const hops = 20

// A measurement is how long something took, and how much of that a machine that
// is busy with something else may have taken.
type measurement struct{ took, machine time.Duration }

// measure does something.
func measure(f func()) measurement {
	p, began := testbed.StartPulse(), time.Now()
	defer p.Stop()
	f()
	return measurement{time.Since(began), hops * p.Since(began)}
}

// beyond reports whether it took longer than it may.
func (m measurement) beyond(limit time.Duration) bool { return m.took-m.machine > limit }

func (m measurement) String() string {
	return fmt.Sprintf("%v (the machine's part: up to %v)", m.took.Round(time.Millisecond), m.machine.Round(time.Millisecond))
}

// chosen returns spec with a choice of what the process is told of a rotation, if
// the test has none.
func chosen(spec Spec) Spec {
	if spec.OnRotation == (Rotation{}) {
		spec.OnRotation.Signal = syscall.SIGHUP
	}
	return spec
}

// run runs spec to its end with files that are there from the start.
func run(t *testing.T, spec Spec) error {
	t.Helper()
	s, err := New(chosen(spec), discard)
	if err != nil {
		return err
	}
	s.Rotated()
	return s.Run(t.Context())
}

// wantStatus checks what Run returned.
func wantStatus(t *testing.T, err error, want int) {
	t.Helper()
	var exit *ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.Code
	} else if err != nil {
		t.Errorf("Run returned %v, want status %d", err, want)
		return
	}
	if got != want {
		t.Errorf("Run returned status %d (%v), want %d", got, err, want)
	}
}

// A helperProcess is a helper that runs beside the test.
type helperProcess struct {
	*exec.Cmd
	lines
	t   *testing.T
	log *strings.Builder
}

// startHelper starts what helperCommand returned.
func startHelper(t *testing.T, cmd *exec.Cmd) *helperProcess {
	t.Helper()
	h := &helperProcess{Cmd: cmd, t: t, log: &strings.Builder{}}
	cmd.Stderr = h.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	setDeathSignal(cmd.SysProcAttr, syscall.SIGKILL)
	// As this process was started itself, whatever it ignores by now.
	if err := child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		child.Release(cmd.Process.Pid)
	})
	h.lines = readLines(t, out)
	return h
}

// kill sends sig to the helper.
func (h *helperProcess) kill(sig syscall.Signal) {
	h.t.Helper()
	if err := h.Process.Signal(sig); err != nil {
		h.t.Fatal(err)
	}
}

// status waits for the helper and returns its exit status, or 128+n.
func (h *helperProcess) status() int {
	h.t.Helper()
	for range h.c { // Wait may close the pipe only after all is read
	}
	return waitStatus(h.t, h.Cmd)
}

func waitStatus(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	_ = cmd.Wait() // the state says it all
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		t.Errorf("the helper died of %v", ws.Signal())
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
