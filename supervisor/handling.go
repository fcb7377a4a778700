package supervisor

import "time"

// handling is what a process does with a signal, as far as can be seen.
type handling uint8

const (
	handlingUnseen  handling = iota // it cannot be seen
	handlingCaught                  // there is a handler
	handlingPartial                 // there is one in who is busy, perhaps the first of many
	handlingGo                      // the Go runtime has one; it has asked for some signals
	handlingBuiltIn                 // its language runtime has one from the start
	handlingJVM                     // as that, and it is rare that the program has one
	handlingBash                    // it has one since the script's trap for EXIT
	handlingBlocked                 // it is blocked in one who waits, perhaps for it
	handlingUnclear                 // it is blocked in one who is busy
	handlingIgnored                 // it is ignored
	handlingDefault                 // nothing, the kernel's default
)

// endedBy tells of what kind a process is that the signal ends, unless the
// program has asked for it, which cannot be seen. Such a signal is for somebody
// to choose.
func (h handling) endedBy() (kind string, is bool) {
	switch h {
	case handlingGo:
		return "a Go program whose memory cannot be read", true
	case handlingJVM:
		return "a Java virtual machine", true
	case handlingBash:
		return "a bash script with a trap for EXIT", true
	}
	return "", false
}

func (h handling) blocked() bool { return h == handlingBlocked || h == handlingUnclear }

const (
	handlerPatience = 10 * time.Second       // for a handler to be installed
	blindPatience   = time.Second            // where handlers cannot be seen
	blockedLong     = 100 * time.Millisecond // makes it a habit
	unclearLong     = 2 * time.Second
	partialLong     = 2 * time.Second // a runtime takes microseconds, if nobody takes the processor away
	partialPoll     = 5 * time.Millisecond
	goPoll          = 25 * time.Millisecond
	blockedPoll     = blockedLong / 4
	longestPoll     = 100 * time.Millisecond
	hopelessPoll    = time.Second
)

// A handlerWatch is what has been seen so far of how one process handles one
// signal that would end it for want of a handler. The zero value has seen
// nothing.
type handlerWatch struct {
	seen   handling
	since  time.Time
	last   time.Time     // the look before this one
	wait   time.Duration // how long there was to be between the two
	queued bool          // the process takes the signal from a queue
	caught bool          // it has a handler, and not only for the moment
}

// A verdict says what to do with the signal.
type verdict uint8

const (
	verdictSend verdict = iota
	verdictWait         // a handler may still come
	verdictNone         // none will, most likely
)

// look judges by what is seen at this moment of a process that started at some
// other. Unless the verdict is verdictSend, it is worth to look again at next.
func (w handlerWatch) look(seen handling, started, at time.Time) (_ handlerWatch, v verdict, next time.Time) {
	if w.since.IsZero() || seen != w.seen && !(seen.blocked() && w.seen.blocked()) {
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
	case handlingCaught:
		w.caught = true
	case handlingPartial:
		w.caught = w.caught || same >= partialLong || age >= handlerPatience
		if !w.caught {
			wait = partialPoll
		}
	case handlingUnseen:
		wait = blindPatience - age
	case handlingGo:
		// It may only be busy with a signal at this moment.
		if same < blindPatience {
			wait = goPoll
		}
	case handlingBash:
		// Who has asked for some signals a while ago, or has run for long, has
		// asked for this one if he ever will.
		wait = min(blindPatience-same, handlerPatience-age)
	case handlingBuiltIn, handlingJVM:
		wait = handlerPatience - age
	case handlingBlocked, handlingUnclear:
		// Once is not enough: some block all signals for a moment.
		long := blockedLong
		if seen == handlingUnclear {
			long = unclearLong
		}
		w.queued = w.queued || same >= long
		if !w.queued {
			wait = blockedPoll
		}
	default:
		w.caught = false
		if age >= handlerPatience {
			return w, verdictNone, at.Add(hopelessPoll)
		}
		wait = again(age)
	}
	w.wait = max(0, min(wait, longestPoll))
	if w.wait == 0 {
		return w, verdictSend, at
	}
	return w, verdictWait, at.Add(w.wait)
}

// again is how long to wait before another look at a process of that age.
// Nothing tells us when a handler comes; looking more rarely the longer it takes
// costs little and adds an eighth to the wait at most.
func again(age time.Duration) time.Duration {
	return min(max(age/8, time.Millisecond), longestPoll)
}
