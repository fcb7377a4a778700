package source

import (
	"slices"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
)

// prompt is the promise: connected, and the answer there, that soon after the
// socket is back; and ended that soon.
const prompt = 100 * time.Millisecond

// hops is how often, at most, one goroutine waits for another to run between a
// socket's return and an answer's arrival, client and server in one process.
const hops = 20

// A sample is how long something took, and how late the machine let a goroutine
// run meanwhile that did nothing but wake up.
type sample struct{ took, late time.Duration }

// excess is what is left of a sample's time without what the machine took: a
// machine that is busy with something else delays every hop.
func (s sample) excess() time.Duration { return s.took - hops*s.late }

// promptly checks that 99 of 100 samples are prompt. One series can be spoilt by
// what else goes on, three in a row are not.
func promptly(t *testing.T, what string, measure func(p *testbed.Pulse) []sample) {
	t.Helper()
	for range 3 {
		p := testbed.StartPulse()
		samples := measure(p)
		p.Stop()
		if len(samples) == 0 {
			t.Errorf("%s: nothing was measured", what)
		}
		if t.Failed() {
			return
		}
		took, late, excess := percentile(samples, 99)
		t.Logf("%s: p99 %v of %d; the machine was late by up to %v", what, took, len(samples), late)
		if excess <= prompt {
			return
		}
	}
	t.Errorf("%s: longer than %v three times", what, prompt)
}

// percentile returns what n of 100 samples do not exceed, each for itself.
func percentile(samples []sample, n int) (took, late, excess time.Duration) {
	of := func(value func(sample) time.Duration) time.Duration {
		var all []time.Duration
		for _, s := range samples {
			all = append(all, value(s))
		}
		slices.Sort(all)
		return all[(len(all)*n+99)/100-1]
	}
	return of(func(s sample) time.Duration { return s.took }), of(func(s sample) time.Duration { return s.late }), of(sample.excess)
}

// since returns the sample of what began at start and has just ended.
func since(p *testbed.Pulse, start time.Time) sample {
	return sample{took: time.Since(start), late: p.Since(start)}
}
