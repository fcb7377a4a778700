package notify

import (
	"testing"
	"time"
)

func TestLatencies(t *testing.T) {
	var l Latencies
	for _, d := range []time.Duration{0, 5 * time.Millisecond, 6 * time.Millisecond, time.Minute, time.Hour} {
		l = l.Observe(d)
	}
	b := l.Cumulative()
	if n := len(b); b[0] != 1 || b[2] != 2 || b[3] != 3 || b[n-2] != 3 || b[n-1] != 4 || l.count != 5 {
		t.Errorf("%v of %d", b, l.count)
	}
	if last, n := l.Last(); last != time.Hour || n != 5 {
		t.Errorf("last %v of %d", last, n)
	}
}
