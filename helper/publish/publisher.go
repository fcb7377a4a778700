// Package publish puts each new snapshot on disk, and says what that changed.
//
// A Publisher is one goroutine that always works on the latest snapshot, so that
// the source never waits for a disk. It alone touches the output directories.
//
// It promises that the process starts when every output is on disk and not
// before, be it from an earlier run, whole, unexpired and what the configuration
// asks for; that what the Workload API lacks, denies or spoils changes the files
// of that identity and no others, after the grace period and as on_revoked says;
// that a directory that cannot be written is tried again; and that a new plan is
// taken over whole or not at all.
package publish

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
)

// A Publisher follows a plan.
type Publisher struct {
	log    *slog.Logger
	events *events.Stream

	plans     chan adoption
	pulses    chan struct{}
	delivered chan delivery
	arrivals  arrivals
	plan      *Plan
	outputs   []*output
	process   Process // that has been told; nil: none yet
	adopted   bool    // there was another plan before
	hooks     map[string]*hookRecord
	changes   uint64
	number    uint64         // of the last Change
	seen      *source.Status // by the last Rotate
	pushed    time.Time      // when the answer came that is not on disk everywhere; zero: all is
	waiting   string         // what was last logged as awaited

	status    atomic.Pointer[[]Status]
	unstarted atomic.Pointer[string] // why the process of the plan is not started; nil: it is
}

type adoption struct {
	plan *Plan
	done chan error
}

// republish is the pause before another try to publish what a full disk, say, has
// refused for so long: ready is true within a second of what mends a short trouble,
// and one that stays costs little.
func republish(lasted time.Duration) time.Duration {
	return min(max(400*time.Millisecond, lasted/60), 30*time.Second)
}

// The span between two tries to encode what could not be. Only another answer or
// the clock can mend that.
const (
	firstReencode = time.Second
	lastReencode  = 30 * time.Second
)

// New returns a publisher. A directory that cannot be opened is tried again by
// Run; what the configuration has wrong is an error.
func New(p *Plan, e *events.Stream, log *slog.Logger) (*Publisher, error) {
	r := &Publisher{
		log: log, events: e, plan: p,
		plans: make(chan adoption), pulses: make(chan struct{}), delivered: make(chan delivery, 64), hooks: map[string]*hookRecord{},
		arrivals: arrivals{number: map[string]uint64{}, wake: make(chan struct{}, 1)},
	}
	var err error
	if r.outputs, err = exchange(nil, p.Outputs, e, log); err != nil {
		return nil, err
	}
	r.publishStatus()
	return r, nil
}

// Follow has the publisher work with a new plan, and returns why it cannot.
// Then it goes on with the one before.
func (r *Publisher) Follow(ctx context.Context, p *Plan) error {
	a := adoption{p, make(chan error, 1)}
	select {
	case r.plans <- a:
		return <-a.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Status is how each output is. Nothing in it changes.
func (r *Publisher) Status() []Status { return *r.status.Load() }

// Unstarted is why the process of the plan does not take the place of the one
// before; empty if it has.
func (r *Publisher) Unstarted() string {
	if why := r.unstarted.Load(); why != nil {
		return *why
	}
	return ""
}

// Turns waits until Run has come round once. The error is that of ctx.
func (r *Publisher) Turns(ctx context.Context) error {
	select {
	case r.pulses <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run publishes until ctx ends. An error is one that ends the helper.
func (r *Publisher) Run(ctx context.Context) error {
	again := backoff.NewExponentialBackOff()
	again.InitialInterval, again.MaxInterval = firstReencode, lastReencode
	retry, moment := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer retry.Stop()
	defer moment.Stop()
	tampered, unwatch := watch(ctx, r.outputs)
	defer func() { unwatch() }()
	if err := r.startFromDisk(); err != nil {
		return err
	}
	written := time.Now()
	for force := false; ; {
		ok, err := r.Rotate(force)
		if ok || !r.unwritten() {
			written = time.Now()
		}
		switch {
		case err != nil:
			return err
		case ok:
			retry.Stop()
			again.Reset()
		case r.unwritten():
			retry.Reset(republish(time.Since(written)))
		default:
			retry.Reset(again.NextBackOff())
		}
		if next := r.nextMoment(); next.IsZero() {
			moment.Stop()
		} else {
			moment.Reset(time.Until(next))
		}
		force = false
		for pulse := true; pulse; {
			pulse = false
			select {
			case <-ctx.Done():
				return nil
			case <-r.plan.Source.Updates():
				gather(ctx, r.plan.Source.Updates(), func() bool { return urgent(r.seen, r.plan.Source.Status()) })
			case <-tampered:
				force = true
			case <-retry.C:
				force = true
			case <-moment.C:
			case <-r.pulses:
				pulse = true // nothing has happened
			case <-r.arrivals.wake:
				pulse = !r.awaits()
			case d := <-r.delivered:
				r.record(d)
			case a := <-r.plans:
				unwatch()
				a.done <- r.adopt(a.plan)
				tampered, unwatch = watch(ctx, r.outputs)
				force = true
			}
		}
	}
}

// unwritten reports whether what was encoded is not on disk somewhere.
func (r *Publisher) unwritten() bool {
	return slices.ContainsFunc(r.outputs, func(o *output) bool { return o.err != nil })
}

// adopt makes p the plan, or leaves everything as it is.
func (r *Publisher) adopt(p *Plan) error {
	if err := r.checkReadable(p); err != nil {
		return err
	}
	outputs, err := exchange(r.outputs, p.Outputs, r.events, r.log)
	r.outputs = outputs
	if err != nil {
		return err
	}
	if p.Process == nil {
		r.process = nil
	}
	r.plan, r.adopted = p, true
	r.unstarted.Store(nil)
	return nil
}

// checkReadable refuses a plan whose process cannot read what is on disk, and
// would be there as it is under the new plan.
func (r *Publisher) checkReadable(p *Plan) error {
	if p.Process == nil || p.Process == r.plan.Process {
		return nil
	}
	var paths []string
	for i := range p.Outputs {
		if o := serving(r.outputs, &p.Outputs[i]); o != nil {
			paths = append(paths, o.privateFiles()...)
		}
	}
	return p.Process.CheckReadable(paths)
}

// Rotate publishes the latest snapshot to every output and tells the targets what
// changed; Run calls it. With force, what is on disk already is looked at again.
// ok says that every output could be written. An error ends the helper.
func (r *Publisher) Rotate(force bool) (ok bool, err error) {
	defer r.publishStatus()
	status := r.plan.Source.Status()
	s := status.Snapshot
	if r.seen == nil || r.seen.Snapshot != s {
		r.pushed = status.LastAnswer()
	}
	r.seen = status
	now := time.Now()
	c := Change{Number: r.nextNumber(), At: now, Pushed: r.pushed}
	r.publishAll(s, force, &c)
	again, refused := r.judge(s, status, now)
	if again {
		r.publishAll(s, true, &c)
	}
	for _, o := range r.outputs {
		o.judgeTerms(now, status)
	}
	if force || r.changes == 0 {
		r.listen()
	}
	whole := r.mayStart(status)
	if c.Kinds != snapshot.KindNone {
		c.announce(r.concerned(c.Kinds, whole))
		r.changes++
		for _, e := range c.Events() {
			r.events.Note(e)
		}
	}
	if refused != nil {
		return false, fmt.Errorf("stopped, as on_revoked says: %w", refused)
	}
	ok = !slices.ContainsFunc(r.outputs, func(o *output) bool { return o.err != nil || o.problem != "" })
	if ok {
		r.pushed = time.Time{}
	}
	told, err := r.tell(c, whole)
	r.await(c.Number, told)
	return ok, err
}

func (r *Publisher) nextNumber() uint64 {
	r.number++
	return r.number
}

// publishAll publishes a snapshot to every output, and adds what that changed to
// c.
func (r *Publisher) publishAll(s *snapshot.Snapshot, force bool, c *Change) {
	c.OnDisk, c.Waiting = nil, nil
	for _, o := range r.outputs {
		r.publishStep(o, s, force, c)
	}
}

// privateFiles are the paths of the keys and tokens on disk.
func (r *Publisher) privateFiles() []string {
	var paths []string
	for _, o := range r.outputs {
		paths = append(paths, o.privateFiles()...)
	}
	return paths
}

// Close gives the directories back.
func (r *Publisher) Close() error { return closeAll(r.outputs) }

func (r *Publisher) publishStatus() {
	all := make([]Status, 0, len(r.outputs))
	for _, o := range r.outputs {
		all = append(all, o.status())
	}
	r.status.Store(&all)
	r.events.Stir()
}
