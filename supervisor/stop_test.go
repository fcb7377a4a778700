//go:build unix

package supervisor

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The contract: the process ends with the helper, as gently as it may and as
// surely as it must.

func TestStopWithoutAProcessIsImmediate(t *testing.T) {
	ends := map[string]func(*Supervisor, context.CancelFunc){
		"SIGTERM": func(s *Supervisor, _ context.CancelFunc) { s.Signal(syscall.SIGTERM) },
		"SIGINT":  func(s *Supervisor, _ context.CancelFunc) { s.Signal(syscall.SIGINT) },
		"SIGQUIT": func(s *Supervisor, _ context.CancelFunc) { s.Signal(syscall.SIGQUIT) },
		"Stop":    func(s *Supervisor, _ context.CancelFunc) { s.Stop() },
		"context": func(_ *Supervisor, cancel context.CancelFunc) { cancel() },
	}
	for when, moment := range map[string]struct {
		spec  Spec
		after int // rotations, the first of which starts a process that fails
		state State
	}{
		"before the first publish": {Spec{}, 0, StateWaiting},
		"in backoff":               {Spec{Restart: RestartAlways}, 1, StateBackoff},
		"between rotations":        {Spec{Restart: RestartOnRotation}, 1, StateWaiting},
		"in a splayed start":       {Spec{Restart: RestartOnRotation, Splay: 1000 * time.Hour}, 2, StateWaiting},
	} {
		for how, end := range ends {
			t.Run(when+", "+how, func(t *testing.T) {
				fake(t, moment.spec, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
					for i := range moment.after {
						s.Rotated()
						synctest.Wait()
						if i == 0 {
							h.ends(1)
						}
					}
					if st := s.Status(); st.State != moment.state || h.count() != min(moment.after, 1) {
						t.Fatalf("%d starts, status %+v", h.count(), st)
					}
					began := time.Now()
					end(s, h.cancel)
					synctest.Wait()
					if st := s.Status(); st.State != StateDone {
						t.Errorf("status %+v", st)
					}
					wantStatus(t, result(), 0)
					if took := time.Since(began); took != 0 {
						t.Errorf("took %v", took)
					}
				})
			})
		}
	}
}

// The same as it is in front of the operating system.
func TestStopBeforeTheFirstPublish(t *testing.T) {
	t.Parallel()
	s := supervise(t, Spec{Command: shell("exit 1")})
	s.Signal(syscall.SIGTERM)
	wantStatus(t, s.result(), 0)
}

// A process that is told to end in its splay is not kept until it is over.
func TestStopInSplayIsImmediate(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	spec := testChild("record", path)
	spec.Splay = 1000 * time.Hour
	spec.OnRotation.Action = RotationRestart
	s := supervise(t, spec)
	s.Rotated()
	out.ready()
	s.Rotated()
	s.Signal(syscall.SIGTERM)
	wantStatus(t, s.result(), 42)
}

func TestStopSignal(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(*subject){
		"SIGTERM": func(s *subject) { s.Signal(syscall.SIGTERM) },
		"itself":  func(s *subject) { s.Signal(syscall.SIGQUIT) },
		"Stop":    func(s *subject) { s.Stop() },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			path, out := pipe(t)
			spec := testChild("record", path)
			spec.StopSignal = syscall.SIGQUIT
			spec.Restart = RestartAlways
			s := supervise(t, spec)
			s.Rotated()
			pid := out.ready()
			end(s)
			out.want("SIGQUIT")
			s.await("stopping", func(st Status) bool { return st.State == StateStopping })
			_ = syscall.Kill(pid, syscall.SIGKILL)
			wantStatus(t, s.result(), 137)
		})
	}
}

func TestSecondSIGTERMIsPassedOn(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	s := supervise(t, testChild("record", path, "stubborn"))
	s.Rotated()
	pid := out.ready()
	for range 3 {
		s.Signal(syscall.SIGTERM)
		out.want("SIGTERM")
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	wantStatus(t, s.result(), 137)
}

// A process that ignores SIGTERM, and one of its group that does, too, are gone
// when the time is up, and not before.
func TestStopTimeoutKillsTheGroup(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	rec := testChild("record", path, "stubborn")
	s := supervise(t, Spec{
		Command:     shell(`"$1" "$2" stubborn & exec "$1" "$2" stubborn`, rec.Command[0], path),
		Env:         rec.Env,
		StopTimeout: 2 * time.Second,
		Restart:     RestartAlways,
	})
	s.Rotated()
	pids := []int{out.ready(), out.ready()}
	m := measure(func() {
		s.Signal(syscall.SIGTERM)
		wantStatus(t, s.result(), 137)
	})
	for _, pid := range pids {
		awaitGone(t, pid)
	}
	t.Logf("gone with its group after %v", m)
	if m.took < 2*time.Second || m.beyond(3*time.Second) {
		t.Errorf("gone after %v, want 2s", m)
	}
}
