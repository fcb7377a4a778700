//go:build unix

package supervisor

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// A subject is a Supervisor that runs in the test itself.
type subject struct {
	*Supervisor
	t    *testing.T
	err  error
	done chan struct{}
}

// supervise runs spec, with files on disk if published, until the test ends.
func supervise(t *testing.T, spec Spec) *subject {
	t.Helper()
	s, err := New(chosen(spec), discard)
	if err != nil {
		t.Fatal(err)
	}
	return superviseWith(t, s)
}

func superviseWith(t *testing.T, s *Supervisor) *subject {
	sub := &subject{Supervisor: s, t: t, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(sub.done)
		sub.err = s.Run(ctx)
	}()
	t.Cleanup(func() {
		if t.Failed() {
			st := s.Status()
			t.Logf("at the end: %+v, last exit %+v", st, st.LastExit)
		}
		cancel()
		select {
		case <-sub.done:
			return
		case <-time.After(5 * time.Second):
		}
		if pid := s.Status().PID; pid != 0 {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
		<-sub.done
	})
	return sub
}

// await waits until the status is as wanted.
func (s *subject) await(what string, is func(Status) bool) Status {
	s.t.Helper()
	late := time.After(patience)
	for {
		if st := s.Status(); is(st) {
			return st
		}
		select {
		case <-s.Updates():
		case <-late:
			s.t.Fatalf("not %s: %+v", what, s.Status())
		}
	}
}

func (s *subject) running() Status {
	s.t.Helper()
	return s.await("running", func(st Status) bool { return st.State == StateRunning })
}

func (s *subject) upToDate() Status {
	s.t.Helper()
	return s.await("up to date", func(st Status) bool { return st.Delivered == st.Rotated })
}

// result waits for the end of Run.
func (s *subject) result() error {
	s.t.Helper()
	select {
	case <-s.done:
		return s.err
	case <-time.After(patience):
		s.t.Fatalf("Run does not end: %+v", s.Status())
		return nil
	}
}
