//go:build unix

package supervisor

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// The contract: the process gets what the helper gets.

func TestEverySignalOneForOne(t *testing.T) {
	t.Parallel()
	h := startHelper(t, helperCommand(t, testChild("record", "-", "stubborn")))
	pid := h.ready()
	sent := 0
	for sig := syscall.Signal(1); sig <= signals.Last; sig++ {
		switch sig {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE:
			continue // cannot be caught, or the helper's own affair
		case syscall.SIGPROF, 32, 33, 34:
			continue // the Go runtime does not hand them over
		}
		for range 2 {
			h.kill(sig)
			h.want(signals.Name(sig))
			sent++
		}
	}
	t.Logf("%d signals passed on one for one", sent)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if got := h.status(); got != 137 {
		t.Errorf("status %d, want 137", got)
	}
}

func TestSignalRewriteAndDrop(t *testing.T) {
	t.Parallel()
	spec := testChild("record", "-", "stubborn")
	spec.SignalRewrite = map[syscall.Signal]syscall.Signal{
		syscall.SIGTERM:  syscall.SIGQUIT,
		syscall.SIGUSR2:  syscall.SIGWINCH,
		syscall.SIGWINCH: 0,
	}
	h := startHelper(t, helperCommand(t, spec))
	pid := h.ready()
	h.kill(syscall.SIGWINCH) // dropped
	h.kill(syscall.SIGUSR2)
	h.want("SIGWINCH")
	h.kill(syscall.SIGTERM)
	h.want("SIGQUIT")
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if got := h.status(); got != 137 {
		t.Errorf("status %d, want 137", got)
	}
}

func TestSignalGroup(t *testing.T) {
	t.Parallel()
	for _, group := range []bool{false, true} {
		t.Run(fmt.Sprint(group), func(t *testing.T) {
			t.Parallel()
			// A leader and a member of its group, both of which record.
			path, out := pipe(t)
			rec := testChild("record", path, "stubborn")
			spec := Spec{
				Command:     shell(`"$1" "$2" stubborn & exec "$1" "$2" stubborn`, rec.Command[0], path),
				Env:         rec.Env,
				SignalGroup: group,
			}
			s := supervise(t, spec)
			s.Rotated()
			pids := []int{out.ready(), out.ready()}
			s.Signal(syscall.SIGUSR2)
			out.want("SIGUSR2")
			want := "SIGHUP"
			if group {
				out.want("SIGUSR2")
			}
			s.Signal(syscall.SIGHUP)
			out.want(want)
			if group {
				out.want(want)
			}
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			wantStatus(t, s.result(), 137)
		})
	}
}

// A thousand signals in a row, and rotations meanwhile: equal ones may become
// one, as in the kernel, but one that comes after the others is heard after
// them, and every rotation is.
func TestFloodOfSignals(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	spec := testChild("record", path)
	spec.OnRotation.Signal = syscall.SIGUSR2
	s := supervise(t, spec)
	s.Rotated()
	out.ready()
	for i := range 1000 {
		s.Signal(syscall.SIGHUP)
		if i%10 == 9 {
			s.Rotated()
		}
	}
	st := s.upToDate()
	if st.Delivered != 101 || st.Starts != 1 {
		t.Errorf("delivered %d of 101, starts %d", st.Delivered, st.Starts)
	}
	s.Signal(syscall.SIGWINCH)
	heard := out.until("SIGWINCH")
	hups, told := count(heard, "SIGHUP"), count(heard, "SIGUSR2")
	t.Logf("1000 SIGHUP and 100 rotations: the process heard %d and %d", hups, told)
	if hups == 0 || told == 0 {
		t.Error("the process heard nothing of one kind")
	}
	s.Signal(syscall.SIGTERM)
	wantStatus(t, s.result(), 42)
}

func count(all []string, one string) int {
	return len(all) - len(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == one }))
}

// The same from outside, through the kernel.
func TestFloodOfSignalsToTheHelper(t *testing.T) {
	t.Parallel()
	h := startHelper(t, rotatingHelper(t, testChild("record", "-")))
	pid := h.ready()
	for i := range 1000 {
		h.kill(syscall.SIGHUP)
		if i%100 == 99 {
			rotateAll(t)
		}
	}
	h.kill(syscall.SIGWINCH)
	heard := h.until("SIGWINCH")
	t.Logf("1000 SIGHUP: the process heard %d", count(heard, "SIGHUP"))
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the process is gone: %v", err)
	}
	h.kill(syscall.SIGTERM)
	if got := h.status(); got != 42 {
		t.Errorf("status %d, want 42", got)
	}
}
