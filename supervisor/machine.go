package supervisor

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// A phase is where the process is in its life.
type phase uint8

const (
	waiting  phase = iota // no process; the next rotation starts one
	starting              // being executed, no pid yet
	running
	stopping // was asked to end, for good or for a restart
	backoff  // no process; time starts one
	done     // nothing follows
)

// The times that the documentation of Spec promises.
var (
	backoffFirst = 500 * time.Millisecond
	backoffMax   = 30 * time.Second
)

const (
	backoffReset = 30 * time.Second // of running forgets earlier failures
	jitterShare  = 0.1

	deadlySoon = time.Second
)

// A state is all that decides what happens next. It is a value: next returns a
// new one and leaves the old one as it was.
type state struct {
	spec  *Spec
	splay time.Duration // this one's share of Spec.Splay

	phase   phase
	pid     int
	stop    bool // what is being stopped is not started again
	pending []syscall.Signal

	asked, delivered, atStart uint64
	starts                    uint64
	startedAt                 time.Time
	failures                  int          // in a row, for the backoff
	recent                    []time.Time  // restarts within the window
	watch                     handlerWatch // for the rotation signal
	toldAt                    time.Time
	deadly                    bool // a process has died of the rotation signal

	// Deadlines; the zero time is none.
	startAt, killAt, tellAt time.Time

	last    *Exit
	failure string // why the process is not up to date
	result  error
}

// An event is something that happened. Only the fields of its kind are set.
type event struct {
	kind   eventKind
	at     time.Time
	random float64 // in [0, 1), for jitter

	n        uint64         // rotated, told
	pid      int            // started
	exit     Exit           // exited, failed
	signal   syscall.Signal // signalled
	handling handling       // looked
	err      error          // failed, told
}

type eventKind uint8

const (
	evRotated   eventKind = iota // n rotations so far
	evStarted                    // the process runs as pid
	evFailed                     // it could not be started
	evExited                     // it ended, and is reaped
	evSignalled                  // the helper received a signal
	evStop                       // the helper is to end
	evRestart                    // somebody wants a fresh process
	evLooked                     // what the process does with the rotation signal
	evTold                       // the rotation signal was sent, or could not be
	evTick                       // a deadline has passed
)

// An action is something to do. The process that pid names runs, or waits to
// be reaped: until its evExited nobody else can have the number.
type action struct {
	kind   actionKind
	pid    int
	signal syscall.Signal
	n      uint64 // tell: the rotations that this covers
	why    string
}

type actionKind uint8

const (
	actStart actionKind = iota // execute the process
	actSend                    // send signal, because of why
	actKill                    // SIGKILL to the process and its group
	actLook                    // see what the process does with signal
	actTell                    // send signal for the rotations up to n
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

// deadline returns when the state wants an evTick; zero for never.
func (s state) deadline() time.Time {
	var first time.Time
	for _, t := range []time.Time{s.startAt, s.killAt, s.tellAt} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

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
	on := s.spec.OnRotation
	return s.stop && on.Action == RotationSignal && !meansEnd(on.Signal)
}

func (s state) tell(e event) (state, []action) {
	if s.spec.OnRotation.Action == RotationRestart {
		return s.startOver(e)
	}
	if s.spec.OnRotation.Signal == syscall.SIGKILL {
		return s.send(e) // no handler will ever come
	}
	return s, []action{{kind: actLook, pid: s.pid, signal: s.spec.OnRotation.Signal}}
}

// looked decides whether the rotation signal can be sent: it must not end a
// process only because the handler is not there yet.
func (s state) looked(e event) (state, []action) {
	if s.pid == 0 || s.delivered == s.asked {
		return s, nil
	}
	sig := s.spec.OnRotation.Signal
	watch, verdict, again := s.watch.look(e.handling, s.startedAt, e.at)
	s.watch = watch
	switch {
	case s.deadly && e.handling != handlingCaught && !e.handling.blocked():
		return s.fail(e, "an earlier process died of %s", signalName(sig))
	case verdict == verdictNone && !meansEnd(sig):
		return s.fail(e, "process %d has no handler for %s", s.pid, signalName(sig))
	case verdict == verdictWait:
		s.tellAt = again
		return s, nil
	}
	return s.send(e)
}

// fail is a rotation that the process does not hear of, for now.
func (s state) fail(e event, format string, args ...any) (state, []action) {
	s.failure = fmt.Sprintf(format, args...)
	s.tellAt = e.at.Add(hopelessPoll)
	return s, nil
}

func (s state) send(e event) (state, []action) {
	s.tellAt, s.toldAt = time.Time{}, e.at
	return s, []action{{kind: actTell, pid: s.pid, signal: s.spec.OnRotation.Signal, n: s.asked}}
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
	s.delivered, s.failure = s.atStart, ""
	s.watch = handlerWatch{}
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
	case s.starts == 0 || s.spec.Restart == RestartNever:
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
	s.last = &e.exit
	sig := s.spec.OnRotation.Signal
	if e.exit.Signal == sig && !meansEnd(sig) && e.at.Sub(s.toldAt) < deadlySoon &&
		s.toldAt.Sub(s.startedAt) >= handlerPatience { // a younger one may have been about to handle it
		s.deadly = true
	}
	s.pid = 0
	s.killAt, s.tellAt = time.Time{}, time.Time{}
	if s.stop {
		return s.end(e.exit.err())
	}
	if over {
		return s.start()
	}
	switch s.spec.Restart {
	case RestartOnRotation:
		if s.asked > s.atStart {
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
	if e.at.Sub(s.startedAt) >= backoffReset {
		s.failures = 0
	}
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
	s.failures++
	s.phase, s.startAt = backoff, e.at.Add(wait)
	return s, nil
}

func (s state) end(err error) (state, []action) {
	s.phase, s.result = done, err
	s.startAt, s.killAt, s.tellAt = time.Time{}, time.Time{}, time.Time{}
	return s, nil
}

func (s state) signalled(e event) (state, []action) {
	ends := e.signal == syscall.SIGTERM || e.signal == syscall.SIGINT || e.signal == s.spec.StopSignal
	switch s.phase {
	case waiting, backoff:
		// Nobody to pass it on to. To end is what SIGQUIT asks for, too.
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
	s.stop, s.phase = true, stopping
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

// restart gives whoever asks a process that is younger than the asking.
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
	s.phase, s.tellAt = stopping, time.Time{}
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
	case due(s.tellAt):
		s.tellAt = time.Time{}
		return s.tell(e)
	}
	return s, nil
}
