package notify

import (
	"slices"
	"sync"
	"time"
)

// maxPushes is how many pushes are remembered of which a target has not been
// told. What comes on top is not measured.
const maxPushes = 64

// pushes measures the time from an answer of the Workload API to the moment when
// a target has been told of it. The zero value is ready.
type pushes struct {
	mu      sync.Mutex
	pending []push
	told    Latencies
}

// A push is an answer of which a target has been told when that many of its
// notifications are delivered.
type push struct {
	asked uint64
	at    time.Time
}

// came notes an answer that is about to be passed on. A time of zero is none.
func (p *pushes) came(asked uint64, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !at.IsZero() && len(p.pending) < maxPushes {
		p.pending = append(p.pending, push{asked, at})
	}
}

// reached measures the answers that the target has been told of by now, and
// returns the longest time that one of them took; zero: there is none.
func (p *pushes) reached(delivered uint64, at time.Time) (longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for ; n < len(p.pending) && p.pending[n].asked <= delivered; n++ {
		took := max(at.Sub(p.pending[n].at), 0) // a start from disk comes before the first answer
		p.told = p.told.Observe(took)
		longest = max(longest, took)
	}
	p.pending = slices.Delete(p.pending, 0, n)
	return longest
}

func (p *pushes) latencies() Latencies {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told
}

// A ToldStatus is how soon a target hears of what the Workload API sends. It is
// a value.
type ToldStatus struct {
	Target  string // "process", or the hook's name
	Latency Latencies
}
