package supervisor

import (
	"fmt"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// What becomes of a rotation.

func (s state) rotated(e event) (state, []action) {
	if e.n <= s.asked {
		return s, nil
	}
	s.asked = e.n
	switch s.phase {
	case waiting:
		switch {
		case s.starts == 0 || s.splay == 0:
			return s.start()
		case s.startAt.IsZero():
			s.startAt = e.at.Add(s.splay)
		}
	case running, stopping:
		return s.notify(e)
	}
	return s, nil // the start that is coming finds the new files
}

// repeat tells the process once more of the rotations so far.
func (s state) repeat(e event) (state, []action) {
	switch s.phase {
	case waiting:
		if s.starts > 0 {
			return s.start()
		}
	case running, stopping:
		s.again = true
		return s.notify(e)
	}
	return s, nil
}

// heard withdraws what repeat is for. A rotation of which the process has not been told
// stays due.
func (s state) heard() state {
	if s.again && s.phase == running && s.delivered == s.asked {
		s.failure, s.untold, s.tellAt = "", 0, time.Time{}
	}
	s.again = false
	return s
}

// notify makes the process hear of the rotations so far, now or when its splay
// and its least interval are over.
func (s state) notify(e event) (state, []action) {
	switch {
	case s.spec.OnRotation.Action == RotationNone:
		s.delivered, s.toldAt = s.asked, e.at
		return s, nil
	case s.phase == stopping && !s.mayTell():
		return s, nil
	case s.failure != "":
		s.tellAt, s.untold = e.at, 0 // it has failed before: look again now
	case s.tellAt.IsZero():
		s.tellAt = e.at.Add(s.splay)
		if soonest := s.toldAt.Add(s.spec.MinInterval); s.tellAt.Before(soonest) {
			s.tellAt = soonest
		}
	}
	if s.tellAt.After(e.at) {
		return s, nil
	}
	return s.tell(e)
}

// mayTell reports whether a process that is being stopped is still told of
// rotations. It may serve for hours before it ends, on the new certificate; but
// one that a restart ends is followed by one that reads the new files anyway,
// and a second SIGTERM may mean something else than the first.
func (s state) mayTell() bool {
	sig := s.spec.OnRotation.Signal
	return s.stop && sig != 0 && !signals.MeansEnd(sig)
}

func (s state) tell(e event) (state, []action) {
	switch on := s.spec.OnRotation; {
	case on.Action == RotationRestart:
		return s.startOver(e)
	case on.Signal == syscall.SIGKILL:
		return s.send() // no handler will ever come
	default:
		return s, []action{{kind: actLook, pid: s.pid, signal: on.Signal}}
	}
}

// looked decides whether the rotation signal can be sent: it must not end a
// process only because the handler is not there yet.
func (s state) looked(e event) (state, []action) {
	if s.pid == 0 || s.delivered == s.asked && !s.again {
		return s, nil
	}
	sig := s.spec.OnRotation.Signal
	watch, verdict, again := s.watch.Look(e.handling, s.startedAt, e.at)
	s.watch = watch
	switch {
	case verdict == signals.Wait:
		s.tellAt = again
		return s, nil
	case verdict == signals.Never && !signals.MeansEnd(sig):
		what := "has no handler for"
		if e.handling == signals.Ignored {
			what = "ignores"
		}
		return s.fail(e, "process %d %s %s, which is not sent: choose another on_rotation", s.pid, what, signals.Name(sig)), nil
	}
	return s.send()
}

// The times between two attempts to tell a process that cannot be told. The next
// rotation is an attempt at once.
const (
	untoldFirst = time.Second
	untoldMax   = 30 * time.Second
)

// fail is a rotation of which the process is not told, for now.
func (s state) fail(e event, format string, args ...any) state {
	s.failure = fmt.Sprintf(format, args...)
	s.tellAt = e.at.Add(min(untoldFirst<<min(s.untold, 10), untoldMax))
	s.untold++
	return s
}

func (s state) send() (state, []action) {
	s.tellAt = time.Time{}
	return s, []action{{kind: actTell, pid: s.pid, signal: s.spec.OnRotation.Signal, n: s.asked}}
}

func (s state) told(e event) state {
	switch {
	case s.pid == 0:
	case e.err != nil:
		s = s.fail(e, "%v", e.err)
	default:
		s.failure, s.untold, s.again, s.toldAt = "", 0, false, e.at
		s.delivered = max(s.delivered, e.n)
	}
	return s
}
