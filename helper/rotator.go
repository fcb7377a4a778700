package helper

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
)

// A rotator takes what the source last saw, puts it on disk, and tells the
// targets. It alone touches the output directories. It is one goroutine that
// always works on the latest snapshot, so the source never waits for a disk.
type rotator struct {
	log     *slog.Logger
	journal *events.Stream
	plans   chan *plan
	current *plan
	outputs []*output

	started bool   // every output has been on disk, so the process may run
	waiting string // what was last logged as awaited
	status  atomic.Pointer[[]outputStatus]
	graces  graceKeeper
	graceAt time.Time // when a denial will count; zero: none is under way
}

// A plan is what a rotator works with until there is another one.
type plan struct {
	source    *source.Source
	onRevoked source.OnRevoked
	grace     time.Duration // how long a denial must last before it counts; 0: the default
	outputs   []encode.Output
	process   *process // nil: none
	hooks     []*hook
	// taken gets nil, or why the plan cannot be followed: the rotator goes on
	// with the one before.
	taken chan error
}

// The span between two tries to publish what a full disk, say, has refused.
const (
	firstRepublish = time.Second
	lastRepublish  = 30 * time.Second
)

// newRotator opens the outputs of its first plan.
func newRotator(p *plan, j *events.Stream, log *slog.Logger) (*rotator, error) {
	r := &rotator{log: log, journal: j, plans: make(chan *plan), current: p, graces: graceKeeper{log: log}}
	var err error
	if r.outputs, err = exchangeOutputs(nil, p.outputs, j, log); err != nil {
		return nil, err
	}
	r.publishStatus()
	return r, nil
}

// follow hands the rotator a new plan, and returns why it cannot be followed.
func (r *rotator) follow(ctx context.Context, p *plan) error {
	p.taken = make(chan error, 1)
	select {
	case r.plans <- p:
		return <-p.taken
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run publishes until ctx ends.
func (r *rotator) run(ctx context.Context) error {
	again := backoff.NewExponentialBackOff()
	again.InitialInterval, again.MaxInterval = firstRepublish, lastRepublish
	retry := time.NewTimer(0)
	defer retry.Stop()
	grace := time.NewTimer(0)
	defer grace.Stop()
	tampered, unwatch := watchOutputs(ctx, r.outputs)
	defer func() { unwatch() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.current.source.Updates():
		case <-tampered:
		case <-retry.C:
		case <-grace.C:
		case p := <-r.plans:
			unwatch()
			p.taken <- r.adopt(p)
			tampered, unwatch = watchOutputs(ctx, r.outputs)
		}
		retry.Stop()
		ok, err := r.rotate()
		r.publishStatus()
		grace.Stop()
		if !r.graceAt.IsZero() {
			grace.Reset(time.Until(r.graceAt))
		}
		switch {
		case err != nil:
			return err
		case ok:
			again.Reset()
		default:
			retry.Reset(again.NextBackOff())
		}
	}
}

// adopt makes p the current plan, or leaves everything as it is.
func (r *rotator) adopt(p *plan) error {
	outputs, err := exchangeOutputs(r.outputs, p.outputs, r.journal, r.log)
	r.outputs = outputs
	if err != nil {
		return err
	}
	if p.process != r.current.process {
		r.started = false
	}
	r.current = p
	return nil
}

// rotate publishes the latest snapshot to every output and tells the targets
// what changed. ok says that every output could be written; an error is one
// that ends the helper.
func (r *rotator) rotate() (ok bool, err error) {
	status := r.current.source.Status()
	s := status.Snapshot
	revoked := r.revoked(status)
	if s == nil && len(revoked) == 0 {
		return true, nil
	}
	var changed change
	complete := true
	ok = true
	for _, o := range r.outputs {
		changed.add(o, o.publish(s, revoked), s)
		complete = complete && o.complete
		ok = ok && o.err == nil
	}
	for _, e := range changed.events() {
		r.journal.Note(e)
	}
	if len(revoked) > 0 && r.current.onRevoked == source.OnRevokedStop && r.current.process != nil {
		r.log.Error("stopping the process: its identity is refused")
		r.current.process.Stop()
	}
	return ok, r.tell(changed, ok && (complete || r.mayStart(status.Awaited(), revoked)))
}

// tell passes a change on to those whom it concerns: the process first. The
// process is started when everything is on disk for the first time.
func (r *rotator) tell(c change, whole bool) error {
	p := r.current.process
	first := !r.started && whole
	switch {
	case first:
		r.started = true
		if p != nil {
			if err := p.spec.CheckReadable(r.privateFiles()); err != nil {
				return fmt.Errorf("not started: %w", err)
			}
			p.rotated(c, true)
		}
	case r.started && p != nil && p.on.Has(c.kinds):
		p.rotated(c, false)
	case !r.started:
		r.logWaiting()
	}
	for _, h := range r.current.hooks {
		if h.on.Has(c.kinds) {
			r.afterProcess(func() { h.rotated(c, first) })
		}
	}
	return nil
}

// afterProcess runs f behind a process that comes and goes with the rotations,
// as cmd of a spiffe-helper file does: what it prepares, a pid file say, may be
// for the hooks. Nobody waits for another kind of process.
func (r *rotator) afterProcess(f func()) {
	if p := r.current.process; p != nil && p.spec.Restart == supervisor.RestartOnRotation {
		p.then(f)
		return
	}
	f()
}

// mayStart reports whether all that is missing is what the process can do
// without, and has been refused.
func (r *rotator) mayStart(awaited, revoked []*source.ProfileStatus) bool {
	if r.current.process == nil {
		return false
	}
	dispensable := r.current.process.spec.StartWithout
	for _, o := range r.outputs {
		if o.set.AwaitedKinds&^dispensable != 0 {
			return false
		}
	}
	for _, missing := range slices.Concat(awaited, revoked) {
		if !dispensable.Has(kindOf(missing.Profile)) || missing.LastError == nil {
			return false
		}
	}
	return true
}

// revoked are the profiles whose files are to go: their identity has been
// refused for longer than the grace period.
func (r *rotator) revoked(status *source.Status) (revoked []*source.ProfileStatus) {
	revoked, r.graceAt = r.graces.revoked(status, r.current.grace, time.Now())
	if r.current.onRevoked == source.OnRevokedKeep {
		return nil
	}
	return revoked
}

// privateFiles are the paths of the keys and tokens on disk.
func (r *rotator) privateFiles() []string {
	var paths []string
	for _, o := range r.outputs {
		paths = append(paths, o.privateFiles()...)
	}
	return paths
}

// logWaiting says, once for each state, what the process waits for.
func (r *rotator) logWaiting() {
	waiting := describeAwaited(r.outputs)
	if waiting != r.waiting && waiting != "" {
		r.log.Info("waiting for the Workload API", "awaited", waiting)
	}
	r.waiting = waiting
}

// close gives the directories back.
func (r *rotator) close() error { return closeOutputs(r.outputs) }

func (r *rotator) publishStatus() {
	all := make([]outputStatus, 0, len(r.outputs))
	for _, o := range r.outputs {
		all = append(all, o.status())
	}
	r.status.Store(&all)
}

// find returns the output that a specification is served by already, if any.
func find(outputs []*output, same func(*output) bool) *output {
	if i := slices.IndexFunc(outputs, same); i >= 0 {
		return outputs[i]
	}
	return nil
}
