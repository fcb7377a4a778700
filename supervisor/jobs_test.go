//go:build unix

package supervisor

import (
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The contract: a job that a shell has stopped ends when the shell ends it,
// whatever order the shell's signals arrive in.

// A shell's kill of a stopped job is SIGTERM, then SIGCONT. When the second one
// overtakes the first, the process hears of its end first all the same.
func TestEndOfAStoppedJobComesBeforeItsContinuation(t *testing.T) {
	for _, order := range [][]syscall.Signal{
		{syscall.SIGTERM, syscall.SIGCONT},
		{syscall.SIGCONT, syscall.SIGTERM},
		{syscall.SIGCONT, syscall.SIGTERM, syscall.SIGCONT},
	} {
		fake(t, Spec{}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
			s.Rotated()
			synctest.Wait()
			h.change(func() { h.process.stopsWith = nil }) // stopped, it only takes note
			for _, sig := range order {
				s.Signal(sig)
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
			time.Sleep(together)
			synctest.Wait()
			h.change(func() {
				if len(h.jobs) == 0 || h.jobs[0] != "resume after [terminated]" {
					t.Errorf("signals %v: %q, want the process resumed after SIGTERM", order, h.jobs)
				}
			})
			h.ends(3)
			wantStatus(t, result(), 3)
		})
	}
}

// A process that is to end and stops for the terminal's sake is continued, so
// that it ends; once, since it may want the terminal again and again.
func TestEndingProcessIsNotLeftStopped(t *testing.T) {
	fake(t, Spec{}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		halt := func(sig syscall.Signal) {
			h.change(func() {
				h.process.halted = sig
				h.changes <- syscall.SIGCHLD
			})
			synctest.Wait()
		}
		wants := func(jobs ...string) {
			t.Helper()
			h.change(func() {
				if !slices.Equal(h.jobs, jobs) {
					t.Errorf("%q, want %q", h.jobs, jobs)
				}
			})
		}
		s.Rotated()
		synctest.Wait()
		h.change(func() { h.process.stopsWith = nil }) // it takes its time
		halt(syscall.SIGTTIN)
		wants("suspend") // nobody wants it to end
		s.Signal(syscall.SIGTERM)
		synctest.Wait()
		halt(syscall.SIGTTIN)
		wants("suspend", "proceed")
		halt(syscall.SIGTTOU)
		wants("suspend", "proceed", "suspend")
		s.Signal(syscall.SIGTERM)
		synctest.Wait()
		halt(syscall.SIGTSTP) // somebody's will
		wants("suspend", "proceed", "suspend", "suspend")
		halt(syscall.SIGTTOU)
		wants("suspend", "proceed", "suspend", "suspend", "proceed")
		h.ends(3)
		wantStatus(t, result(), 3)
	})
}
