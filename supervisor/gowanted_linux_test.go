package supervisor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
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
			for asked, want := range map[string]handling{
				"TERM":             handlingDefault,
				"INT TERM":         handlingDefault,
				"INT TERM USR1":    handlingDefault,
				"TERM RT LAST":     handlingDefault,
				"HUP TERM":         handlingCaught,
				"INT TERM HUP":     handlingCaught,
				"HUP USR1 TERM RT": handlingCaught,
			} {
				t.Run(asked, func(t *testing.T) {
					t.Parallel()
					h := startHelper(t, exec.Command(program, strings.Fields(asked)...))
					h.want("ready")
					m := openMasks(h.Process.Pid)
					defer m.close()
					got := m.handling(syscall.SIGHUP)
					for end := time.Now().Add(patience); got != want && time.Now().Before(end); {
						got = m.handling(syscall.SIGHUP) // its thread for signals may not sleep yet
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
