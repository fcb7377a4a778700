package notify

import (
	"testing"
	"time"
)

func TestPushesAreMeasuredWhenTheTargetIsTold(t *testing.T) {
	var p pushes
	begin := time.Unix(1000, 0)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	p.came(1, at(0))
	p.came(2, at(10))
	p.came(3, time.Time{}) // no answer: a file that was tampered with
	if got := p.reached(0, at(20)); got != 0 {
		t.Errorf("told of nothing after %v", got)
	}
	if got := p.reached(2, at(30)); got != 30*time.Millisecond { // both at once
		t.Errorf("told after %v", got)
	}
	if got := p.reached(3, at(40)); got != 0 {
		t.Errorf("told of what no answer brought after %v", got)
	}
	p.came(4, at(100))
	if got := p.reached(4, at(90)); got != 0 { // it was started from disk
		t.Errorf("told after %v", got)
	}
	if _, n := p.latencies().Last(); n != 3 {
		t.Errorf("%d are measured", n)
	}
	for n := range uint64(10 * maxPushes) {
		p.came(5+n, begin)
	}
	if n := len(p.pending); n != maxPushes {
		t.Errorf("%d are remembered", n)
	}
}
