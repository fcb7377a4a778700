package hook

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// TestLookJudges: what a process does with a signal is a problem once it has had its
// time, if the signal was not chosen to end it.
func TestLookJudges(t *testing.T) {
	old, young := 2*signals.Patience, time.Second
	for _, c := range []struct {
		sig  syscall.Signal
		seen signals.Handling
		age  time.Duration
		bad  bool
	}{
		{syscall.SIGHUP, signals.Default, old, true},
		{syscall.SIGHUP, signals.Ignored, old, true},
		{syscall.SIGHUP, signals.Default, young, false},
		{syscall.SIGHUP, signals.Caught, old, false},
		{syscall.SIGHUP, signals.Unseen, old, false},
		{syscall.SIGTERM, signals.Default, old, false},
		{syscall.SIGWINCH, signals.Default, old, false},
	} {
		if err := (&signaller{sig: c.sig}).judge(c.seen, c.age); (err != nil) != c.bad {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestLookFindsAndSignalsNone: a process that has no handler yet is found, with its
// parent's name, and goes on.
func TestLookFindsAndSignalsNone(t *testing.T) {
	own, err := lookUpProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(file, fmt.Append(nil, child.Process.Pid), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := Look(Spec{Name: "x", PIDFile: file})
	if err != nil || len(found) != 1 || found[0] != (Sighting{PID: child.Process.Pid, Parent: own.name}) {
		t.Errorf("%+v, %v", found, err)
	}
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = child.Wait()
	if sig := child.ProcessState.Sys().(syscall.WaitStatus).Signal(); sig != syscall.SIGTERM {
		t.Errorf("it was ended by %v", sig)
	}
	if found, err = Look(Spec{Name: "x", PIDFile: file}); err != nil || len(found) != 1 || !errors.Is(found[0].Err, errGone) {
		t.Errorf("after its end: %+v, %v", found, err)
	}
	if _, err := Look(Spec{Name: "x", Command: []string{"true"}}); err == nil {
		t.Error("a command has no process to look at")
	}
}
