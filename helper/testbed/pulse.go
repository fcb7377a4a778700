// Package testbed is what tests need to know of the machine that they run on,
// and have from it: how late it is, and a port that no other program gets. It is for
// tests alone.
package testbed

import (
	"sync"
	"time"
)

// A Pulse measures how late the machine lets a goroutine run that does nothing
// but wake up each millisecond: one that is busy with something else delays
// whatever else is measured, and is not what is tested.
type Pulse struct {
	ended, done chan struct{}

	mu    sync.Mutex
	last  time.Time // when it ran last
	beats []beat    // the late ones
}

type beat struct {
	at   time.Time
	late time.Duration
}

// StartPulse returns a pulse that beats until it is stopped.
func StartPulse() *Pulse {
	p := &Pulse{ended: make(chan struct{}), done: make(chan struct{}), last: time.Now()}
	go p.run()
	return p
}

func (p *Pulse) run() {
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

func (p *Pulse) beat(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if late := now.Sub(p.last) - time.Millisecond; late > time.Millisecond {
		p.beats = append(p.beats, beat{now, late})
	}
	p.last = now
}

// Stop ends the pulse, and returns how late the machine has been at most. It is
// called once.
func (p *Pulse) Stop() time.Duration {
	close(p.ended)
	<-p.done
	return p.Since(time.Time{})
}

// Since returns how late the machine has been, at most, from start on until now.
func (p *Pulse) Since(start time.Time) time.Duration {
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
