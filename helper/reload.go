package helper

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/notify"
	"github.com/svidhelper/svidhelper/helper/source"
)

// readAgain reads the configuration and, when it is valid and different, has it
// take the place of the running one. It reports whether the configuration is not valid.
func (d *daemon) readAgain(ctx context.Context) (invalid bool) {
	if info, err := os.Stat(d.options.File); d.options.File != "" && err == nil && !info.Mode().IsRegular() {
		d.refuse("the new configuration is not read, the running one stays", fmt.Errorf("%s is not a regular file", d.options.File))
		return false
	}
	c, err := d.options.Load()
	if err != nil {
		d.refuse("the new configuration is not valid, the running one stays", err)
		return true
	}
	if reflect.DeepEqual(c, d.parts.Load().config) {
		d.settled("the file says again what is running")
		return false
	}
	done := d.systemd.Reloading()
	changed, err := d.apply(ctx, c)
	done()
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		d.refuse("the new configuration cannot be used, the running one stays", err)
		return false
	}
	now := time.Now()
	r := d.lastReload()
	d.reloaded.Store(&health.Reload{At: now, Done: r.Done + 1, Refused: r.Refused})
	d.events.Note(events.Event{Time: now, Event: events.Reloaded, Changed: changed})
	d.log.Info("the new configuration is in effect", "file", d.options.File, "changed", strings.Join(changed, ", "))
	return false
}

// apply has a new configuration take the place of the running one, and returns
// what it changes. What it does not change is not disturbed. On an error
// everything is as before.
func (d *daemon) apply(ctx context.Context, c *config.Config) (changed []string, err error) {
	old := d.parts.Load()
	p, err := d.newParts(c, old)
	if err == nil {
		err = d.publisher.Follow(ctx, d.plan(p, old))
	}
	if err != nil {
		if p != nil {
			p.discard(old)
		}
		return nil, err
	}
	d.follow(p, old)
	if old.config.Log.Level != c.Log.Level {
		d.logAt(c.Log.Level, "the configuration file has changed it")
	}
	if old.config.Log.JSON != c.Log.JSON {
		d.log.Warn("the format of the log takes effect at the next start")
	}
	return changes(old.config, c), nil
}

// newParts makes the parts of a configuration. Those that are as in old are
// taken over. Whatever can be refused about the new ones is refused here, before
// anything changes.
func (d *daemon) newParts(c *config.Config, old *parts) (*parts, error) {
	p := &parts{config: c, source: old.source, process: old.process}
	var err error
	if old.source == nil || old.config.AgentAddress != c.AgentAddress {
		if p.source, err = source.New(sourceConfig(c), d.log); err != nil {
			return nil, err
		}
		if old.source != nil {
			p.source.MustNotFail() // what runs depends on the new one already
		}
	}
	switch {
	case c.Process == nil:
		p.process = nil
	case old.process == nil || !reflect.DeepEqual(old.process.Spec(), c.Process):
		if p.process, err = notify.NewProcess(c.Process, d.environ(c.Process), d.arrived, d.events, d.log); err != nil {
			return nil, err
		}
	}
	for i := range c.Hooks {
		h := old.hook(&c.Hooks[i])
		if h == nil {
			if h, err = notify.NewHook(&c.Hooks[i], d.delivered, d.arrived, d.events, d.log); err != nil {
				return nil, err
			}
		}
		p.hooks = append(p.hooks, h)
	}
	switch {
	case c.Health == nil:
	case old.health != nil && old.config.Health.Address == c.Health.Address:
		p.health = old.health
		err = health.Check(*c.Health)
	default:
		p.health, err = health.New(*c.Health, d.status, d.log)
	}
	return p, err
}

// hook returns the hook that a specification is served by already, if any.
func (p *parts) hook(spec *config.Hook) *notify.Hook {
	for _, h := range p.hooks {
		if reflect.DeepEqual(h.Spec(), spec) {
			return h
		}
	}
	return nil
}

// follow has the runner run the parts that are not in old. Nothing in it fails.
// The process is for the publisher to exchange (see plan).
func (d *daemon) follow(p, old *parts) {
	d.parts.Store(p)
	d.events.Follow(p.config.Events)
	if p.source == old.source {
		p.source.Reconfigure(Needs(p.config))
	} else {
		d.runner.put("source", ended("the source", p.source.Run))
	}
	if p.process == nil && old.process != nil {
		d.exchange(p)
	}
	for _, h := range p.hooks {
		if old.hook(h.Spec()) != h {
			d.runner.put("hook "+h.Name(), h.Run)
		}
	}
	for _, h := range old.hooks {
		if d.hookNamed(p, h.Name()) == nil {
			d.runner.put("hook "+h.Name(), nil)
		}
	}
	switch {
	case p.health == nil:
		d.runner.put("health", nil)
	case p.health != old.health:
		d.runner.put("health", p.health.Run)
	default:
		p.health.Follow(*p.config.Health)
	}
}

func (d *daemon) hookNamed(p *parts, name string) *notify.Hook {
	for _, h := range p.hooks {
		if h.Name() == name {
			return h
		}
	}
	return nil
}

// discard gives back what parts that do not come to run have taken.
func (p *parts) discard(old *parts) {
	if p.health != nil && p.health != old.health {
		_ = p.health.Close()
	}
}

// changes names the parts of the configuration that are not the same.
func changes(old, now *config.Config) []string {
	var names []string
	for _, part := range []struct {
		name     string
		old, now any
	}{
		{"agent_address", old.AgentAddress, now.AgentAddress},
		{"on_revoked", old.OnRevoked, now.OnRevoked},
		{"revocation_grace", old.RevocationGrace, now.RevocationGrace},
		{"events", old.Events, now.Events},
		{"output", old.Outputs, now.Outputs},
		{"process", old.Process, now.Process},
		{"hook", old.Hooks, now.Hooks},
		{"health", old.Health, now.Health},
		{"log", old.Log, now.Log},
	} {
		if !reflect.DeepEqual(part.old, part.now) {
			names = append(names, part.name)
		}
	}
	return names
}

// lastReload is what became of the file so far.
func (d *daemon) lastReload() health.Reload {
	if r := d.reloaded.Load(); r != nil {
		return *r
	}
	return health.Reload{}
}

// refuse says why a new configuration does not take effect, once: the file is
// read again for whatever happens beside it, and the log may be beside it.
func (d *daemon) refuse(message string, err error) {
	r := d.lastReload()
	if r.Problem == err.Error() {
		return
	}
	d.reloaded.Store(&health.Reload{At: time.Now(), Done: r.Done, Refused: r.Refused + 1, Problem: err.Error()})
	d.events.Note(events.Event{Event: events.Failed, Failed: "reload", Error: err.Error()})
	d.log.Error(message, "file", d.options.File, "error", err)
}

// settled notes that there is nothing to refuse any more.
func (d *daemon) settled(message string) {
	r := d.lastReload()
	if r.Problem == "" {
		return
	}
	d.reloaded.Store(&health.Reload{At: time.Now(), Done: r.Done, Refused: r.Refused})
	d.log.Info(message, "file", d.options.File)
}

// forget has the next refusal said even if it is the last one again.
func (d *daemon) forget() {
	r := d.lastReload()
	r.Problem = ""
	d.reloaded.Store(&r)
}
