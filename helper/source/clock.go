package source

import (
	"context"
	"time"
)

// Timers keep the time of the monotonic clock, which stands still while a Linux
// machine is asleep, and does not follow when the wall clock is set. What expires
// does so by the wall clock.

const (
	// clockLook is how often the clocks are compared where the kernel does not
	// tell of a step.
	clockLook = 10 * time.Second
	// clockStep is how far apart they must have gone to call it a step.
	clockStep = 2 * time.Second
)

// compareClocks calls stepped when the wall clock has gone another way than the
// monotonic one, until ctx ends.
func compareClocks(ctx context.Context, stepped func()) {
	look := time.NewTicker(clockLook)
	defer look.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		now := time.Now()
		if apart := wall(now).Sub(wall(last)) - now.Sub(last); apart.Abs() >= clockStep {
			stepped()
		}
		last = now
	}
}
