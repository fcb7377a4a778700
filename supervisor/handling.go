package supervisor

import "time"

// handling is what a process does with a signal, as far as can be seen.
type handling uint8

const (
	handlingUnseen  handling = iota // it cannot be seen
	handlingCaught                  // there is a handler
	handlingRuntime                 // its language runtime has one; it has asked for some signals
	handlingBlocked                 // it is blocked: perhaps taken from a queue
	handlingIgnored                 // it is ignored
	handlingDefault                 // nothing, the kernel's default
)

const (
	handlerPatience = 10 * time.Second       // for a handler to be installed
	blindPatience   = time.Second            // where handlers cannot be seen
	blockedLong     = 100 * time.Millisecond // makes it a habit
	hopelessPoll    = time.Second
)

// A handlerWatch is what has been seen so far of how one process handles one
// signal that would end it for want of a handler. The zero value has seen
// nothing.
type handlerWatch struct {
	seen   handling
	since  time.Time
	queued bool // the process takes the signal from a queue
}

// A verdict says what to do with the signal.
type verdict uint8

const (
	verdictSend verdict = iota
	verdictWait         // a handler may still come
	verdictNone         // none will, most likely
)

// look judges by what is seen at this moment of a process that started at some
// other. Unless the verdict is verdictSend, it is worth to look again at again.
func (w handlerWatch) look(seen handling, started, at time.Time) (_ handlerWatch, v verdict, again time.Time) {
	if seen != w.seen || w.since.IsZero() {
		w.seen, w.since = seen, at
	}
	age, same := at.Sub(started), at.Sub(w.since)
	var wait time.Duration
	switch seen {
	case handlingCaught:
		return w, verdictSend, at
	case handlingUnseen, handlingRuntime:
		// Who has run for a while, or has asked for some signals a while ago,
		// has asked for this one if he ever will.
		wait = blindPatience - same
		if seen == handlingUnseen || age >= handlerPatience {
			wait = blindPatience - age
		}
	case handlingBlocked:
		// Every fork blocks all signals for a moment, so once is not enough.
		if !w.queued && same < blockedLong {
			wait = blockedLong / 4
		}
		w.queued = wait == 0
	default:
		if age >= handlerPatience {
			return w, verdictNone, at.Add(hopelessPoll)
		}
		// Nothing tells us when the handler comes. Looking more rarely the
		// longer it takes costs little and adds an eighth to the wait at most.
		wait = min(max(age/8, time.Millisecond), 100*time.Millisecond)
	}
	if wait <= 0 {
		return w, verdictSend, at
	}
	return w, verdictWait, at.Add(wait)
}
