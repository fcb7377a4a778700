package notify

import "time"

// LatencyBounds are the upper ends of the histogram's buckets. A reload takes
// milliseconds in nginx and a minute in a large Java service; from an answer to the
// signal it is a millisecond or two.
var LatencyBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

// Latencies is a histogram as a value. Its zero value is empty.
type Latencies struct {
	count   uint64
	sum     time.Duration
	last    time.Duration
	buckets [len(LatencyBounds)]uint64 // not cumulative
}

// Observe returns the histogram with d in it.
func (l Latencies) Observe(d time.Duration) Latencies {
	l.count++
	l.sum += d
	l.last = d
	for i, bound := range LatencyBounds {
		if d <= bound {
			l.buckets[i]++
			break
		}
	}
	return l
}

// Last returns what was observed last, and how much was observed in all.
func (l Latencies) Last() (last time.Duration, count uint64) { return l.last, l.count }

// Sum returns the sum of what was observed.
func (l Latencies) Sum() time.Duration { return l.sum }

// Cumulative returns how many were at most as long as each bound.
func (l Latencies) Cumulative() (counts [len(LatencyBounds)]uint64) {
	sum := uint64(0)
	for i, n := range l.buckets {
		sum += n
		counts[i] = sum
	}
	return counts
}
