package notify

import (
	"sync"
	"time"
)

// afterPatience is how long a hook waits for the process to be told first.
const afterPatience = time.Second

// after are the calls that wait until the process has been told. The zero value
// is ready. Its own timers see to those that have waited long enough.
type after struct {
	mu      sync.Mutex
	waiting []waiting
}

type waiting struct {
	asked uint64 // the notifications that come first
	until time.Time
	call  func()
}

// then has call run, in order, when the process has been told of all that it was
// asked to be told of so far, or cannot be told, or takes longer than a second.
// It never blocks.
func (p *Process) then(call func()) {
	w := waiting{asked: p.target.line.progress().asked, until: time.Now().Add(afterPatience), call: call}
	p.after.mu.Lock()
	p.after.waiting = append(p.after.waiting, w)
	p.after.mu.Unlock()
	time.AfterFunc(afterPatience, p.target.look)
	p.target.look()
}

// run makes the calls that need not wait any longer.
func (a *after) run(p progress) {
	for {
		w, ok := a.take(p, time.Now())
		if !ok {
			return
		}
		w.call()
	}
}

// take takes the first call, if it need not wait any longer.
func (a *after) take(p progress, now time.Time) (w waiting, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		return w, false
	}
	w = a.waiting[0]
	if p.delivered < w.asked && p.stuck == "" && now.Before(w.until) {
		return w, false
	}
	a.waiting = a.waiting[1:]
	return w, true
}
