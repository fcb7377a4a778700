package helper

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/source"
)

// A daemon is what Run runs. Its slots hold parts that a new configuration can
// exchange one by one.
type daemon struct {
	log     *slog.Logger
	version string
	started time.Time
	options Options

	source, process, health *slot
	hooks                   *crew
	rotator                 *rotator
	journal                 *events.Stream

	config  *config.Config       // touched by newDaemon, then by watchFile alone
	refused string               // why the last new one was not used; touched by watchFile alone
	plan    atomic.Pointer[plan] // what the parts were made from
	reload  chan struct{}        // capacity 1
}

// newDaemon makes every part of a configuration, and opens what has to be
// opened. Nothing runs yet.
func newDaemon(c *config.Config, log *slog.Logger, o Options) (*daemon, error) {
	d := &daemon{
		log: log, version: o.Version, started: time.Now(), options: o,
		source: newSlot(), process: newSlot(), health: newSlot(), hooks: newCrew(),
		journal: events.New(c.Events, log), config: c, reload: make(chan struct{}, 1),
	}
	p, err := d.newPlan(c, nil)
	if err != nil {
		return nil, err
	}
	if d.rotator, err = newRotator(p, d.journal, log); err != nil {
		return nil, err
	}
	d.plan.Store(p)
	if err := d.serveHealth(c.Health); err != nil {
		_ = d.rotator.close()
		return nil, err
	}
	d.put(p, nil)
	return d, nil
}

// newPlan makes the parts of a configuration. Those that are as in old are
// taken over.
func (d *daemon) newPlan(c *config.Config, old *plan) (*plan, error) {
	p := &plan{onRevoked: c.OnRevoked, grace: c.RevocationGrace, outputs: c.Outputs}
	if old != nil && d.config.AgentAddress == c.AgentAddress {
		p.source = old.source
	} else {
		src, err := source.New(sourceConfig(c), d.log)
		if err != nil {
			return nil, err
		}
		if old != nil {
			src.MustNotFail() // what runs depends on the next one already
		}
		p.source = src
	}
	var err error
	switch {
	case c.Process == nil:
	case old != nil && old.process != nil && reflect.DeepEqual(old.process.spec, c.Process):
		p.process = old.process
	default:
		if p.process, err = newProcess(c.Process, d.journal, d.log); err != nil {
			return nil, err
		}
	}
	var kept []*hook
	if old != nil {
		kept = old.hooks
	}
	p.hooks, err = newHooks(c.Hooks, kept, d.journal, d.log)
	return p, err
}

// put hands the parts that are not in old to whoever runs them.
func (d *daemon) put(p, old *plan) {
	if old == nil || p.source != old.source {
		d.source.put(ended("the source", p.source.Run))
	}
	switch {
	case old != nil && p.process == old.process:
	case p.process == nil:
		d.process.put(nil)
	default:
		d.process.put(p.process.run)
	}
	d.hooks.put(p.hooks)
}

// apply has a new configuration take the place of the running one. What it does
// not change is not disturbed. On an error everything is as before.
func (d *daemon) apply(ctx context.Context, c *config.Config) error {
	old := d.plan.Load()
	p, err := d.newPlan(c, old)
	if err != nil {
		return err
	}
	if err := d.rotator.follow(ctx, p); err != nil {
		return err
	}
	d.plan.Store(p)
	d.journal.Follow(c.Events)
	if p.source == old.source {
		p.source.Reconfigure(needs(c))
	}
	d.put(p, old)
	if !reflect.DeepEqual(d.config.Health, c.Health) {
		if err := d.exchangeHealth(ctx, c.Health); err != nil {
			d.log.Error("health is not served as the new configuration says", "error", err)
		}
	}
	if d.config.Log != c.Log {
		d.log.Warn("the log block takes effect at the next start")
	}
	d.config = c
	return nil
}

// serveHealth has health served at an address, or nowhere.
func (d *daemon) serveHealth(c *health.Config) error {
	if c == nil {
		d.health.put(nil)
		return nil
	}
	s, err := health.New(*c, d.status, d.log)
	if err != nil {
		return err
	}
	d.health.put(s.Run)
	return nil
}

// exchangeHealth frees the old address first: it may be the new one too.
func (d *daemon) exchangeHealth(ctx context.Context, c *health.Config) error {
	freed := make(chan struct{})
	d.health.put(func(ctx context.Context) error {
		close(freed)
		<-ctx.Done()
		return nil
	})
	select {
	case <-freed:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := d.serveHealth(c); err != nil {
		return fmt.Errorf("%w; it is not served until that is mended", err)
	}
	return nil
}
