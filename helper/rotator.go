package helper

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/svidhelper/svidhelper/helper/source"
)

// A rotator takes what the source last saw, puts it on disk, and tells the
// targets. It alone touches the output directories. It is one goroutine that
// always works on the latest snapshot, so the source never waits for a disk.
type rotator struct {
	log     *slog.Logger
	source  *source.Source
	outputs []*output
	process *target   // nil: none
	hooks   []*target // in the order of the configuration

	started bool   // every output has been on disk once, so the process may run
	waiting string // what was last logged as awaited
}

// The span between two tries to publish what a full disk, say, has refused.
const (
	firstRepublish = time.Second
	lastRepublish  = 30 * time.Second
)

// run publishes until ctx ends.
func (r *rotator) run(ctx context.Context) error {
	tampered, wait := mergeTampered(ctx, r.outputs)
	defer wait()

	again := backoff.NewExponentialBackOff()
	again.InitialInterval, again.MaxInterval = firstRepublish, lastRepublish
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.source.Updates():
		case <-tampered:
		case <-retry.C:
		}
		retry.Stop()
		if r.rotate() {
			again.Reset()
		} else {
			retry.Reset(again.NextBackOff())
		}
	}
}

// rotate publishes the latest snapshot to every output and tells the targets
// what changed. It reports whether every output could be written.
func (r *rotator) rotate() (ok bool) {
	s := r.source.Snapshot()
	if s == nil {
		return true
	}
	var changed change
	complete := true
	ok = true
	for _, o := range r.outputs {
		changed.add(o, o.publish(s))
		complete = complete && o.complete
		ok = ok && o.err == nil
	}
	first := !r.started && complete && ok
	switch {
	case first:
		r.started = true
		if r.process != nil {
			r.process.tell(changed, true)
		}
	case r.started && r.process != nil && r.process.on.Has(changed.kinds):
		r.process.tell(changed, false)
	case !r.started:
		r.logWaiting()
	}
	for _, h := range r.hooks {
		if h.on.Has(changed.kinds) {
			h.tell(changed, first)
		}
	}
	return ok
}

// logWaiting says, once for each state, what the process waits for.
func (r *rotator) logWaiting() {
	waiting := describeAwaited(r.outputs)
	if waiting != r.waiting && waiting != "" {
		r.log.Info("waiting for the Workload API", "awaited", waiting)
	}
	r.waiting = waiting
}

// mergeTampered makes one channel of the outputs' own. The goroutines end with
// ctx; wait waits for them.
func mergeTampered(ctx context.Context, outputs []*output) (merged <-chan struct{}, wait func()) {
	c := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for _, o := range outputs {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-o.dir.Tampered():
					select {
					case c <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	return c, wg.Wait
}
