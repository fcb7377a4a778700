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

// notify makes the process hear of the rotations so far, now or after its
// splay.
func (s state) notify(e event) (state, []action) {
	switch {
	case s.spec.OnRotation.Action == RotationNone:
		s.delivered = s.asked
		return s, nil
	case s.phase == stopping && !s.mayTell():
		return s, nil
	case s.failure != "":
		s.tellAt = e.at // it has failed before: look again now
	case s.tellAt.IsZero():
		s.tellAt = e.at.Add(s.splay)
	}
	if s.tellAt.After(e.at) {
		return s, nil
	}
	return s.tell(e)
}

// mayTell reports whether a process that is being stopped still hears of
// rotations. It may serve for hours before it ends, on the new certificate; but
// one that a restart ends is followed by one that reads the new files anyway,
// and a second SIGTERM may mean something else than the first.
func (s state) mayTell() bool {
	sig := s.spec.OnRotation.signal()
	return s.stop && sig != 0 && !signals.MeansEnd(sig)
}

func (s state) tell(e event) (state, []action) {
	if s.spec.OnRotation.Action == RotationRestart {
		return s.startOver(e)
	}
	if s.spec.OnRotation.signal() == syscall.SIGKILL {
		return s.send(e) // no handler will ever come
	}
	return s, []action{{kind: actLook, pid: s.pid, signal: s.spec.OnRotation.signal()}}
}

// looked decides whether the rotation signal can be sent: it must not end a
// process only because the handler is not there yet.
func (s state) looked(e event) (state, []action) {
	if s.pid == 0 || s.delivered == s.asked {
		return s, nil
	}
	sig := s.spec.OnRotation.signal()
	kind, ends := e.handling.EndedBy()
	watch, verdict, again := s.watch.Look(e.handling, s.startedAt, e.at)
	s.watch = watch
	switch {
	case s.deadly && e.handling != signals.HandlingCaught && !e.handling.Blocked():
		return s.fail(e, "an earlier process died of %s", signals.Name(sig))
	case verdict == signals.VerdictNone && !signals.MeansEnd(sig):
		return s.fail(e, "process %d has no handler for %s", s.pid, signals.Name(sig))
	case verdict == signals.VerdictWait:
		s.tellAt = again
		return s, nil
	case ends && s.spec.OnRotation.Signal == 0:
		return s.fail(e, "process %d is %s, which %s ends unless it is handled: if it is, say so with on_rotation",
			s.pid, kind, signals.Name(sig))
	}
	return s.send(e)
}

// fail is a rotation that the process does not hear of, for now.
func (s state) fail(e event, format string, args ...any) (state, []action) {
	s.failure = fmt.Sprintf(format, args...)
	s.tellAt = e.at.Add(signals.HopelessPoll)
	return s, nil
}

func (s state) send(e event) (state, []action) {
	s.tellAt, s.toldAt = time.Time{}, e.at
	return s, []action{{kind: actTell, pid: s.pid, signal: s.spec.OnRotation.signal(), n: s.asked}}
}

func (s state) told(e event) state {
	switch {
	case s.pid == 0:
	case e.err != nil:
		s, _ = s.fail(e, "%v", e.err)
	default:
		s.failure = ""
		s.delivered = max(s.delivered, e.n)
	}
	return s
}

// deadlySoon is how long after a signal a process dies that dies of it.
const deadlySoon = time.Second

// learn remembers a process that has died of the rotation signal, though it had
// run for so long that it would handle it if it ever did: the next one is
// spared, unless its handler can be seen.
func (s state) learn(e event) state {
	sig := s.spec.OnRotation.signal()
	if sig == 0 || signals.MeansEnd(sig) || e.exit.Status() != 128+int(sig) || s.toldAt.Sub(s.startedAt) < signals.HandlerPatience {
		return s
	}
	// A runtime that ends in an orderly way, with that as its status, takes its
	// time.
	if e.exit.Signal == sig && e.at.Sub(s.toldAt) >= deadlySoon {
		return s
	}
	s.deadly = true
	s.failure = fmt.Sprintf("process died of %s, the signal for a rotation: choose what it handles with on_rotation", signals.Name(sig))
	return s
}
