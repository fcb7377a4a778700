package supervisor

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// The times that the documentation of Spec promises.
var (
	backoffFirst = 500 * time.Millisecond
	backoffMax   = 30 * time.Second
)

const (
	backoffReset = 30 * time.Second // of running forgets earlier failures
	jitterShare  = 0.1
	// restartLate is when a process that does not end is no longer one that
	// takes its leave, but one that stands in the way of the next.
	restartLate = 30 * time.Second
)

// next is the supervisor's whole behaviour: what happens in which state.
func next(s state, e event) (state, []action) {
	if s.phase == done {
		return s, nil
	}
	switch e.kind {
	case evRotated:
		return s.rotated(e)
	case evStarted:
		return s.started(e)
	case evFailed:
		return s.failed(e)
	case evExited:
		return s.exited(e)
	case evSignalled:
		return s.signalled(e)
	case evStop:
		return s.stopped(e)
	case evAgain:
		return s.repeat(e)
	case evHeard:
		return s.heard(), nil
	case evRestart:
		return s.restart(e)
	case evLooked:
		return s.looked(e)
	case evTold:
		return s.told(e), nil
	case evTick:
		return s.tick(e)
	default:
		panic(fmt.Sprintf("supervisor: unknown event %d", e.kind))
	}
}

func (s state) start() (state, []action) {
	s.phase = starting
	s.startAt = time.Time{}
	s.atStart = s.asked
	return s, []action{{kind: actStart}}
}

func (s state) started(e event) (state, []action) {
	if s.phase != starting {
		return s, nil
	}
	s.phase, s.pid, s.startedAt = running, e.pid, e.at
	s.starts++
	s.delivered, s.failure, s.untold, s.again = s.atStart, "", 0, false
	s.watch, s.toldAt = signals.Watch{}, e.at
	var acts []action
	for _, sig := range s.pending {
		acts = append(acts, action{kind: actSend, pid: s.pid, signal: sig, why: "received during the start"})
	}
	s.pending = nil
	if s.stop {
		return s.stopping(e), acts
	}
	if s.asked > s.delivered {
		var more []action
		s, more = s.notify(e)
		acts = append(acts, more...)
	}
	return s, acts
}

// failed is the end of a process that never was. The first one is final: a
// command that has never worked is a mistake, not an outage.
func (s state) failed(e event) (state, []action) {
	if s.phase != starting {
		return s, nil
	}
	s.pending = nil
	switch {
	case s.stop:
		return s.end(nil)
	case s.starts == 0 && s.spec.Restart != RestartOnRotation || s.spec.Restart == RestartNever:
		return s.end(&ExitError{Code: e.exit.Code, Err: e.err})
	}
	s.failure = e.err.Error()
	s.startedAt = e.at
	return s.ended(e)
}

func (s state) exited(e event) (state, []action) {
	if s.pid == 0 {
		return s, nil
	}
	return s.ended(e)
}

// ended decides what follows the end of a process.
func (s state) ended(e event) (state, []action) {
	over := s.phase == stopping && !s.stop
	if e.at.Sub(s.startedAt) >= backoffReset {
		s.failures = 0
	}
	s.last = &e.exit
	s.pid = 0
	s.killAt, s.lateAt, s.tellAt = time.Time{}, time.Time{}, time.Time{}
	if s.stop {
		return s.end(e.exit.err())
	}
	if over {
		return s.start()
	}
	switch s.spec.Restart {
	case RestartOnRotation:
		if s.asked > max(s.delivered, s.atStart) {
			return s.start() // it ended before it heard of a rotation
		}
		s.phase = waiting
		return s, nil
	case RestartAlways:
		return s.back(e)
	case RestartOnFailure:
		if e.exit.Status() != 0 {
			return s.back(e)
		}
	}
	return s.end(e.exit.err())
}

// back goes into the backoff, or gives up.
func (s state) back(e event) (state, []action) {
	s.recent = slices.DeleteFunc(slices.Clone(s.recent), func(t time.Time) bool {
		return s.spec.RestartWindow > 0 && e.at.Sub(t) >= s.spec.RestartWindow
	})
	if s.spec.MaxRestarts > 0 && len(s.recent) >= s.spec.MaxRestarts {
		s.failure = fmt.Sprintf("process was restarted %d times and exited again", len(s.recent))
		return s.end(e.exit.err())
	}
	if s.spec.MaxRestarts > 0 {
		s.recent = append(s.recent, e.at)
	}
	wait := min(backoffFirst<<min(s.failures, 10), backoffMax)
	wait += time.Duration(jitterShare * e.random * float64(wait))
	s.crashes++
	s.failures++
	s.phase, s.startAt = backoff, e.at.Add(wait)
	return s, nil
}

func (s state) end(err error) (state, []action) {
	s.phase, s.result = done, err
	s.startAt, s.killAt, s.lateAt, s.tellAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return s, nil
}

func (s state) signalled(e event) (state, []action) {
	ends := e.signal == syscall.SIGTERM || e.signal == syscall.SIGINT || e.signal == s.spec.StopSignal
	switch s.phase {
	case waiting, backoff:
		// There is no process to pass it on to. SIGQUIT asks for the end, too.
		if ends || e.signal == syscall.SIGQUIT {
			return s.end(nil)
		}
		return s, nil
	}
	sig, ok := s.outgoing(e.signal)
	if !ok {
		return s, nil
	}
	if s.phase == starting {
		s.pending = append(slices.Clip(s.pending), sig)
		s.stop = s.stop || ends
		return s, nil
	}
	if ends {
		s = s.stopping(e)
	}
	return s, []action{{kind: actSend, pid: s.pid, signal: sig, why: "received"}}
}

// outgoing returns what the process gets for a signal that the helper got; not
// ok drops it.
func (s state) outgoing(sig syscall.Signal) (_ syscall.Signal, ok bool) {
	if to, is := s.spec.SignalRewrite[sig]; is {
		return to, to != 0
	}
	if sig == syscall.SIGTERM {
		return s.spec.stopSignal(), true
	}
	return sig, true
}

// stopping is the start of the end of a process that is not to come back.
func (s state) stopping(e event) state {
	s.stop, s.phase, s.lateAt = true, stopping, time.Time{}
	if !s.mayTell() {
		s.tellAt = time.Time{}
	}
	return s.killLater(e)
}

func (s state) killLater(e event) state {
	if s.killAt.IsZero() && s.spec.StopTimeout > 0 {
		s.killAt = e.at.Add(s.spec.StopTimeout)
	}
	return s
}

func (s state) stopped(e event) (state, []action) {
	switch s.phase {
	case waiting, backoff:
		return s.end(nil)
	case starting:
		if !s.stop {
			s.stop = true
			s.pending = append(slices.Clip(s.pending), s.spec.stopSignal())
		}
		return s, nil
	case stopping:
		return s.stopping(e), nil // it has had its signal
	}
	return s.stopping(e), []action{{kind: actSend, pid: s.pid, signal: s.spec.stopSignal(), why: "stop"}}
}

// restart gives the caller a process that is younger than the call.
func (s state) restart(e event) (state, []action) {
	switch s.phase {
	case waiting:
		if s.starts > 0 {
			return s.start()
		}
	case running:
		return s.startOver(e)
	}
	return s, nil
}

// startOver ends the process so that another one follows.
func (s state) startOver(e event) (state, []action) {
	s.phase, s.tellAt, s.lateAt = stopping, time.Time{}, e.at.Add(restartLate)
	return s.killLater(e), []action{{kind: actSend, pid: s.pid, signal: s.spec.stopSignal(), why: "restart"}}
}

func (s state) tick(e event) (state, []action) {
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(e.at) }
	switch {
	case due(s.startAt):
		return s.start()
	case due(s.killAt):
		s.killAt = time.Time{}
		return s, []action{{kind: actKill, pid: s.pid}}
	case due(s.lateAt):
		s.lateAt = time.Time{}
		s.failure = fmt.Sprintf("process %d was asked to end for a restart %v ago and still runs; stop_timeout sets a bound", s.pid, restartLate)
	case due(s.tellAt):
		s.tellAt = time.Time{}
		return s.tell(e)
	}
	return s, nil
}
