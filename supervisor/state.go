package supervisor

import (
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
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
	crashes                   uint64
	failures                  int           // in a row, for the backoff
	recent                    []time.Time   // restarts within the window
	watch                     signals.Watch // for the rotation signal
	toldAt                    time.Time     // the last notification, or start
	untold                    int           // attempts to tell the process that have failed in a row
	again                     bool          // it is to be told of what it has been told of

	// Deadlines; the zero time is none.
	startAt, killAt, lateAt, tellAt time.Time

	last    *Exit
	failure string // why the process is not up to date
	result  error
}

// An event is something that happened. Only the fields of its kind are set.
type event struct {
	kind   eventKind
	at     time.Time
	random float64 // in [0, 1), for jitter

	n        uint64           // rotated, told
	pid      int              // started
	exit     Exit             // exited, failed
	signal   syscall.Signal   // signalled
	handling signals.Handling // looked
	err      error            // failed, told
}

type eventKind uint8

const (
	evRotated   eventKind = iota // n rotations so far
	evStarted                    // the process runs as pid
	evFailed                     // it could not be started
	evExited                     // it ended, and is reaped
	evSignalled                  // the helper received a signal
	evStop                       // the helper is to end
	evAgain                      // the process is to be told once more
	evHeard                      // it need not be, it was seen to have heard
	evRestart                    // a younger process is wanted
	evLooked                     // what the process does with the rotation signal
	evTold                       // the rotation signal was sent, or could not be
	evTick                       // a deadline has passed
)

// An action is something to do. The process that pid names runs, or waits to
// be reaped: until its evExited no other process can have the number.
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

// deadline returns when the state wants an evTick; zero for never.
func (s state) deadline() time.Time {
	var first time.Time
	for _, t := range []time.Time{s.startAt, s.killAt, s.lateAt, s.tellAt} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
