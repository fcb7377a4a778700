package helper

import (
	"sync"
	"time"
)

// turnPatience is how long anybody waits for a target to be told first.
const turnPatience = time.Second

// turns are what waits until a target has been told. The zero value is ready;
// whoever follows the target runs them.
type turns struct {
	mu      sync.Mutex
	waiting []turn
}

type turn struct {
	asked uint64    // the target's notifications that come first
	until time.Time // and this is how long they are waited for
	run   func()
}

func (q *turns) add(t turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, t)
}

// take runs, in order, what need not wait any longer, and returns when to look
// again; zero means not before the target's progress changes.
func (q *turns) take(p progress, now time.Time) (next time.Time) {
	for {
		t, ok := q.first(p, now)
		if !ok {
			return t.until
		}
		t.run()
	}
}

// first takes the first turn if it has come; if not, it only shows it.
func (q *turns) first(p progress, now time.Time) (t turn, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return turn{}, false
	}
	t = q.waiting[0]
	if p.delivered < t.asked && p.stuck == "" && now.Before(t.until) {
		return t, false
	}
	q.waiting = q.waiting[1:]
	return t, true
}
