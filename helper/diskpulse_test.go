package helper

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// hops is how often, at most, somebody waits for somebody else to run between an
// event and what comes of it: whom a busy machine lets wait, it lets wait that
// often.
const hops = 30

// A diskPulse measures how long a disk takes to keep something: a publish waits
// for that, and what else goes on makes it seconds.
type diskPulse struct {
	ended, done chan struct{}

	mu     sync.Mutex
	began  time.Time // the probe that is under way; zero: none
	probes []probe
}

type probe struct{ began, ended time.Time }

// rest is the pause between two probes: they are not to be what they measure.
const rest = 50 * time.Millisecond

func newDiskPulse(t *testing.T) *diskPulse {
	p := &diskPulse{ended: make(chan struct{}), done: make(chan struct{})}
	name := filepath.Join(t.TempDir(), "probe")
	go func() {
		defer close(p.done)
		for {
			p.begin(time.Now())
			if err := keep(name); err != nil {
				t.Error(err)
			}
			p.end(time.Now())
			select {
			case <-p.ended:
				return
			case <-time.After(rest):
			}
		}
	}()
	return p
}

// keep writes a new file and has the disk keep it.
func keep(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString("x"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Remove(name)
}

func (p *diskPulse) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = now
}

func (p *diskPulse) end(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probes, p.began = append(p.probes, probe{p.began, now}), time.Time{}
}

func (p *diskPulse) stop() {
	close(p.ended)
	<-p.done
}

// since returns how long the disk has taken, at most, from then on.
func (p *diskPulse) since(start time.Time) (took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := func(began, ended time.Time) {
		if began.Before(start) {
			began = start
		}
		took = max(took, ended.Sub(began))
	}
	for _, one := range p.probes {
		from(one.began, one.ended)
	}
	if !p.began.IsZero() {
		from(p.began, time.Now())
	}
	return took
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
