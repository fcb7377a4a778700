//go:build unix

package supervisor

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// The contract: the process ends with the helper, as gently as it may and as
// surely as it must.

// soon is what "at once" may take on a busy machine.
const soon = 2 * time.Second

func TestStopWithoutAProcessIsImmediate(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*subject, context.CancelFunc){
		"SIGTERM": func(s *subject, _ context.CancelFunc) { s.Signal(syscall.SIGTERM) },
		"SIGINT":  func(s *subject, _ context.CancelFunc) { s.Signal(syscall.SIGINT) },
		"SIGQUIT": func(s *subject, _ context.CancelFunc) { s.Signal(syscall.SIGQUIT) },
		"Stop":    func(s *subject, _ context.CancelFunc) { s.Stop() },
		"context": func(_ *subject, cancel context.CancelFunc) { cancel() },
	}
	moments := map[string]func(*testing.T, context.Context) *subject{
		"before the first publish": func(t *testing.T, ctx context.Context) *subject {
			return superviseIn(ctx, t, Spec{Command: shell("exit 1")})
		},
		"in backoff": func(t *testing.T, ctx context.Context) *subject {
			s := superviseIn(ctx, t, Spec{Command: shell("exit 1"), Restart: RestartAlways})
			s.Rotated()
			s.await("in backoff", func(st Status) bool { return st.State == StateBackoff })
			return s
		},
		"between rotations": func(t *testing.T, ctx context.Context) *subject {
			s := superviseIn(ctx, t, Spec{Command: shell("exit 1"), Restart: RestartOnRotation})
			s.Rotated()
			s.await("waiting again", func(st Status) bool { return st.State == StateWaiting && st.Starts == 1 })
			return s
		},
		"in a splayed start": func(t *testing.T, ctx context.Context) *subject {
			s := superviseIn(ctx, t, Spec{Command: shell("exit 1"), Restart: RestartOnRotation, Splay: 1000 * time.Hour})
			s.Rotated()
			s.await("waiting again", func(st Status) bool { return st.State == StateWaiting && st.Starts == 1 })
			s.Rotated()
			return s
		},
	}
	for when, moment := range moments {
		for how, end := range ends {
			t.Run(when+", "+how, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s := moment(t, ctx)
				began := time.Now()
				end(s, cancel)
				wantStatus(t, s.result(), 0)
				if took := time.Since(began); took > soon {
					t.Errorf("took %v", took)
				}
			})
		}
	}
}

// A process that is told to end in its splay is not kept until it is over.
func TestStopInSplayIsImmediate(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	spec := child("record", path)
	spec.Splay = 1000 * time.Hour
	spec.OnRotation.Action = RotationRestart
	s := supervise(t, spec)
	s.Rotated()
	out.ready()
	s.Rotated()
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	wantStatus(t, s.result(), 42)
	if took := time.Since(began); took > soon {
		t.Errorf("took %v", took)
	}
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
			spec := child("record", path)
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
	s := supervise(t, child("record", path, "stubborn"))
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
	rec := child("record", path, "stubborn")
	s := supervise(t, Spec{
		Command:     shell(`"$1" "$2" stubborn & exec "$1" "$2" stubborn`, rec.Command[0], path),
		Env:         rec.Env,
		StopTimeout: 2 * time.Second,
		Restart:     RestartAlways,
	})
	s.Rotated()
	pids := []int{out.ready(), out.ready()}
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	wantStatus(t, s.result(), 137)
	took := time.Since(began)
	for _, pid := range pids {
		awaitGone(t, pid)
	}
	t.Logf("gone with its group after %v", took.Round(time.Millisecond))
	if took < 2*time.Second || took > 2*time.Second+soon {
		t.Errorf("gone after %v, want 2s", took)
	}
}

// superviseIn is supervise under a context of the test's.
func superviseIn(ctx context.Context, t *testing.T, spec Spec) *subject {
	t.Helper()
	s, err := New(spec, discard)
	if err != nil {
		t.Fatal(err)
	}
	sub := &subject{Supervisor: s, t: t, done: make(chan struct{})}
	go func() {
		defer close(sub.done)
		sub.err = s.Run(ctx)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-sub.done
	})
	return sub
}
