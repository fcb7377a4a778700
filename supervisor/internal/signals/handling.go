package signals

import (
	"time"
)

// Handling is what a process does with a signal, as far as can be seen.
type Handling uint8

const (
	HandlingUnseen  Handling = iota // it cannot be seen
	HandlingCaught                  // there is a handler
	HandlingPartial                 // there is one in who is busy, perhaps the first of many
	HandlingGo                      // the Go runtime has one; it has asked for some signals
	HandlingBuiltIn                 // its language runtime has one from the start
	HandlingJVM                     // as that, and it is rare that the program has one
	HandlingBash                    // it has one since the script's trap for EXIT
	HandlingBlocked                 // it is blocked in one who waits, perhaps for it
	HandlingUnclear                 // it is blocked in one who is busy
	HandlingIgnored                 // it is ignored
	HandlingDefault                 // nothing, the kernel's default
)

// EndedBy tells of what kind a process is that the signal ends, unless the
// program has asked for it, which cannot be seen. Such a signal is for somebody
// to choose.
func (h Handling) EndedBy() (kind string, is bool) {
	switch h {
	case HandlingGo:
		return "a Go program whose memory cannot be read", true
	case HandlingJVM:
		return "a Java virtual machine", true
	case HandlingBash:
		return "a bash script with a trap for EXIT", true
	}
	return "", false
}

func (h Handling) Blocked() bool { return h == HandlingBlocked || h == HandlingUnclear }

const (
	HandlerPatience = 10 * time.Second       // for a handler to be installed
	BlindPatience   = time.Second            // where handlers cannot be seen
	blockedLong     = 100 * time.Millisecond // makes it a habit
	unclearLong     = 2 * time.Second
	partialLong     = 2 * time.Second // a runtime takes microseconds, if nobody takes the processor away
	partialPoll     = 5 * time.Millisecond
	goPoll          = 25 * time.Millisecond
	blockedPoll     = blockedLong / 4
	longestPoll     = 100 * time.Millisecond
	HopelessPoll    = time.Second
)

// A Watch is what has been seen so far of how one process handles one
// signal that would end it for want of a handler. The zero value has seen
// nothing.
type Watch struct {
	seen   Handling
	since  time.Time
	last   time.Time     // the look before this one
	wait   time.Duration // how long there was to be between the two
	queued bool          // the process takes the signal from a queue
	caught bool          // it has a handler, and not only for the moment
}

// A Verdict says what to do with the signal.
type Verdict uint8

const (
	VerdictSend Verdict = iota
	VerdictWait         // a handler may still come
	VerdictNone         // none will, most likely
)

// look judges by what is seen at this moment of a process that started at some
// other. Unless the Verdict is VerdictSend, it is worth to look again at next.
func (w Watch) Look(seen Handling, started, at time.Time) (_ Watch, v Verdict, next time.Time) {
	if w.since.IsZero() || seen != w.seen && !(seen.Blocked() && w.seen.Blocked()) {
		w.since = at
	} else if late := at.Sub(w.last) - max(w.wait, blockedPoll); !w.last.IsZero() && late > 0 {
		// Nobody got to run (a virtual machine was held, say): the process has not
		// had that time either.
		w.since = w.since.Add(late)
	}
	w.seen, w.last = seen, at
	age, same := at.Sub(started), at.Sub(w.since)
	var wait time.Duration
	switch seen {
	case HandlingCaught:
		w.caught = true
	case HandlingPartial:
		w.caught = w.caught || same >= partialLong || age >= HandlerPatience
		if !w.caught {
			wait = partialPoll
		}
	case HandlingUnseen:
		wait = BlindPatience - age
	case HandlingGo:
		// It may only be busy with a signal at this moment.
		if same < BlindPatience {
			wait = goPoll
		}
	case HandlingBash:
		// Who has asked for some signals a while ago, or has run for long, has
		// asked for this one if he ever will.
		wait = min(BlindPatience-same, HandlerPatience-age)
	case HandlingBuiltIn, HandlingJVM:
		wait = HandlerPatience - age
	case HandlingBlocked, HandlingUnclear:
		// Once is not enough: some block all signals for a moment.
		long := blockedLong
		if seen == HandlingUnclear {
			long = unclearLong
		}
		w.queued = w.queued || same >= long
		if !w.queued {
			wait = blockedPoll
		}
	default:
		w.caught = false
		if age >= HandlerPatience {
			return w, VerdictNone, at.Add(HopelessPoll)
		}
		wait = again(age)
	}
	w.wait = max(0, min(wait, longestPoll))
	if w.wait == 0 {
		return w, VerdictSend, at
	}
	return w, VerdictWait, at.Add(w.wait)
}

// again is how long to wait before another look at a process of that age.
// Nothing tells us when a handler comes; looking more rarely the longer it takes
// costs little and adds an eighth to the wait at most.
func again(age time.Duration) time.Duration {
	return min(max(age/8, time.Millisecond), longestPoll)
}
