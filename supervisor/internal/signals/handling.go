// Package signals names signals, and tells what a process does with one before it
// is sent. It looks at no more of the process than its status and its threads'
// show.
package signals

import "time"

// A Handling is what a process does with one signal, as far as the system shows
// it.
type Handling uint8

const (
	Unseen  Handling = iota // the system does not show it
	Default                 // there is no handler
	Ignored                 // the process ignores the signal
	Caught                  // the program has a handler
	Busy                    // there is a handler, perhaps only the first of many that a runtime installs
	Runtime                 // the Go runtime has one; the program may not have asked for the signal yet
	Blocked                 // it is blocked: for a moment, or because the process takes signals from a queue
)

const (
	// Patience is the time that a process has, from its start, to install a
	// handler.
	Patience = 10 * time.Second
	// settle is after what time a state that says little is taken for the last
	// one: a runtime has installed all its handlers, a Go program has called
	// signal.Notify.
	settle = time.Second
	// habit is after what time a signal is blocked on purpose. Every fork blocks
	// all signals for some microseconds.
	habit = 100 * time.Millisecond
	// longestPoll bounds the time between two looks.
	longestPoll = 100 * time.Millisecond
)

// A Watch is what has been seen of how one process handles one signal that would
// end it for want of a handler. The zero value has seen nothing.
type Watch struct {
	seen  Handling
	since time.Time
}

// A Verdict says what to do with the signal.
type Verdict uint8

const (
	Send  Verdict = iota
	Wait          // a handler may still come
	Never         // the process has had its time, and has no handler
)

// Look judges by what is seen at this moment of a process that started at some
// other. If the verdict is Wait, the next look is due at next.
func (w Watch) Look(seen Handling, started, at time.Time) (_ Watch, v Verdict, next time.Time) {
	switch {
	case seen == Busy && w.seen == Caught: // it is known to be the program's
	case seen != w.seen || w.since.IsZero():
		w = Watch{seen, at}
	}
	age, same := at.Sub(started), at.Sub(w.since)
	var wait time.Duration
	switch w.seen {
	case Caught:
	case Unseen:
		wait = settle - age
	case Busy, Runtime:
		wait = settle - same
	case Blocked:
		wait = habit - same
	default:
		if wait = Patience - age; wait <= 0 {
			return w, Never, time.Time{}
		}
	}
	if wait <= 0 {
		return w, Send, time.Time{}
	}
	// Nothing tells us when a handler comes. To look more rarely the longer it
	// takes costs little, and adds a quarter to the wait at most.
	poll := min(max(min(age, same)/4, time.Millisecond), longestPoll)
	return w, Wait, at.Add(min(wait, poll))
}
