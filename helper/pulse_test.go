package helper

import (
	"slices"
	"sync"
	"time"
)

// A pulse measures how late the machine lets a goroutine run that does nothing
// but wake up each millisecond: a busy one delays whatever else is measured.
type pulse struct {
	ended, done chan struct{}

	mu    sync.Mutex
	last  time.Time // when it ran last
	beats []beat    // the late ones
}

type beat struct {
	at   time.Time
	late time.Duration
}

func newPulse() *pulse {
	p := &pulse{ended: make(chan struct{}), done: make(chan struct{}), last: time.Now()}
	go p.run()
	return p
}

func (p *pulse) run() {
	defer close(p.done)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-p.ended:
			return
		case <-ticker.C:
			p.beat(time.Now())
		}
	}
}

func (p *pulse) beat(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if late := now.Sub(p.last) - time.Millisecond; late > time.Millisecond {
		p.beats = append(p.beats, beat{now, late})
	}
	p.last = now
}

func (p *pulse) stop() {
	close(p.ended)
	<-p.done
}

// since returns how late the machine has been, at most, since then.
func (p *pulse) since(start time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	late := max(0, time.Since(p.last)-time.Millisecond)
	for _, b := range p.beats {
		if b.at.After(start) {
			late = max(late, b.late)
		}
	}
	return late
}

// percentile returns what n of 100 do not exceed.
func percentile[T any](all []T, n int, of func(T) time.Duration) time.Duration {
	var values []time.Duration
	for _, one := range all {
		values = append(values, of(one))
	}
	slices.Sort(values)
	return values[(len(values)*n+99)/100-1]
}
