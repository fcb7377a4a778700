package supervisor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// The contract: a Go program that asks for other signals, and not for that of a
// rotation, is not ended by it; one that does ask is told.

// asksFor is a Go program that asks for the signals that it is given, says so,
// and ends with status 42 at SIGTERM.
const asksFor = `package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	c := make(chan os.Signal, 10)
	for _, arg := range os.Args[1:] {
		signal.Notify(c, map[string]os.Signal{
			"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM,
			"USR1": syscall.SIGUSR1, "RT": syscall.Signal(40), "LAST": syscall.Signal(64),
		}[arg])
	}
	fmt.Println("ready")
	for sig := range c {
		if sig == syscall.SIGTERM {
			os.Exit(42)
		}
	}
}
`

// buildGo builds a program and returns its path.
func buildGo(t *testing.T, source string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"main.go": source, "go.mod": "module program\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", "program", ".")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return filepath.Join(dir, "program")
}

func TestWhatAGoProgramAsksFor(t *testing.T) {
	t.Parallel()
	for kind, flags := range map[string][]string{
		"plain":    nil,
		"stripped": {"-trimpath", "-ldflags", "-s -w"},
		"anywhere": {"-buildmode", "pie"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			program := buildGo(t, asksFor, flags...)
			for asked, want := range map[string]signals.Handling{
				"TERM":             signals.HandlingDefault,
				"INT TERM":         signals.HandlingDefault,
				"INT TERM USR1":    signals.HandlingDefault,
				"TERM RT LAST":     signals.HandlingDefault,
				"HUP TERM":         signals.HandlingCaught,
				"INT TERM HUP":     signals.HandlingCaught,
				"HUP USR1 TERM RT": signals.HandlingCaught,
			} {
				t.Run(asked, func(t *testing.T) {
					t.Parallel()
					h := startHelper(t, exec.Command(program, strings.Fields(asked)...))
					h.want("ready")
					m := signals.OpenMasks(h.Process.Pid)
					defer m.Close()
					got := m.Handling(syscall.SIGHUP)
					for end := time.Now().Add(patience); got != want && time.Now().Before(end); {
						got = m.Handling(syscall.SIGHUP) // its thread for signals may not sleep yet
					}
					if got != want {
						t.Errorf("handling %d, want %d", got, want)
					}
					h.kill(syscall.SIGTERM)
					h.status()
				})
			}
		})
	}
}
