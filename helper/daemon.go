package helper

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/notify"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/helper/systemd"
	"github.com/svidhelper/svidhelper/supervisor"
)

// defaultGrace is how long a refusal of an identity must last before it counts:
// an agent that restarts says PermissionDenied for a while.
const defaultGrace = 30 * time.Second

// A daemon is what Run runs: its parts, and the runner that can exchange them
// one by one.
type daemon struct {
	log     *slog.Logger
	version string
	started time.Time
	options Options

	runner    *runner
	publisher *publish.Publisher
	events    *events.Stream
	systemd   *systemd.Manager // nil: nothing to tell

	parts    atomic.Pointer[parts]
	running  atomic.Pointer[notify.Process] // gets the helper's signals; nil: none runs
	wanted   atomic.Pointer[notify.Process] // takes its place when it has ended
	reloaded atomic.Pointer[health.Reload]
	reload   chan struct{} // capacity 1
}

// parts are what a configuration is made into. Nothing in them changes, but for
// what each part does by itself.
type parts struct {
	config  *config.Config
	source  *source.Source
	process *notify.Process // nil: none
	hooks   []*notify.Hook
	health  *health.Server // nil: not served
}

// newDaemon makes every part of a configuration, and opens what has to be
// opened. Nothing runs yet.
func newDaemon(c *config.Config, log *slog.Logger, o Options) (*daemon, error) {
	if o.Level == nil {
		o.Level = new(slog.LevelVar)
		o.Level.Set(c.Log.Level)
	}
	d := &daemon{
		log: log, version: o.Version, started: time.Now(), options: o,
		runner: newRunner(), events: events.New(c.Events, log), systemd: systemd.New(log), reload: make(chan struct{}, 1),
	}
	p, err := d.newParts(c, &parts{config: &config.Config{}})
	if err != nil {
		d.systemd.Close()
		return nil, err
	}
	plan := d.plan(p, &parts{})
	plan.Exchange = nil // the first process runs from the start, and waits
	if d.publisher, err = publish.New(plan, d.events, log); err != nil {
		p.discard(&parts{})
		d.systemd.Close()
		return nil, err
	}
	d.follow(p, &parts{config: &config.Config{}})
	if p.process != nil {
		d.running.Store(p.process)
		d.exchange(p)
	}
	return d, nil
}

// delivered is for hooks, which are made before the publisher.
func (d *daemon) delivered(hook string, number uint64) { d.publisher.Delivered(hook, number) }

// arrived is for targets, likewise.
func (d *daemon) arrived(target string, number uint64) { d.publisher.Arrived(target, number) }

// plan is what the publisher does with the parts.
func (d *daemon) plan(p, old *parts) *publish.Plan {
	c := p.config
	plan := &publish.Plan{Source: p.source, Outputs: c.Outputs, OnRevoked: c.OnRevoked, Grace: cmp.Or(c.RevocationGrace, defaultGrace), Answer: d.answer}
	if p.process != nil {
		plan.Process, plan.StartWithout, plan.WaitForAPI = p.process, c.Process.StartWithout, c.Process.NoStartFromDisk
		if p.process != old.process {
			plan.Exchange = func() { d.exchange(p) }
		}
	}
	for _, h := range p.hooks {
		plan.Hooks = append(plan.Hooks, h)
	}
	return plan
}

// exchange has a process run in the place of the one before, once that has ended.
// The signals go to the one before until then.
func (d *daemon) exchange(p *parts) {
	d.wanted.Store(p.process)
	if d.running.Load() != nil && d.running.Load() != p.process {
		what := "the process is restarted, because the configuration file has changed what it is"
		if p.process == nil {
			what = "the process is stopped, because the configuration file has none any more"
		}
		d.log.Info(what, "file", d.options.File)
	}
	if p.process == nil {
		d.runner.put("process", func(ctx context.Context) error {
			d.running.Store(nil)
			<-ctx.Done()
			return nil
		})
		return
	}
	d.runner.put("process", func(ctx context.Context) error {
		d.running.Store(p.process)
		err := p.process.Run(ctx)
		if exit := p.process.Status().LastExit; exit != nil && ctx.Err() == nil {
			d.log.Info("svidhelper ends, because the process has ended", "status", exit.Status())
		}
		return err
	})
	for _, h := range p.hooks {
		h.After(p.first())
	}
}

// first is the process if it is told before the hooks: one that comes and goes
// with the rotations, as cmd of a spiffe-helper file does.
func (p *parts) first() *notify.Process {
	if p.process != nil && p.config.Process.Restart == supervisor.RestartOnRotation {
		return p.process
	}
	return nil
}

// handleSignals hands signals to the process, whose supervisor knows which of
// them mean the end. With no process, SIGTERM, SIGINT and SIGQUIT mean the end,
// SIGHUP that the configuration is to be read again, and SIGUSR2 that the log is to
// say more, or as much as before.
func (d *daemon) handleSignals(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-signals:
			ends := s == os.Interrupt || s == syscall.SIGTERM || s == syscall.SIGQUIT
			p := d.running.Load()
			if p != nil {
				d.passOn(p, s.(syscall.Signal))
			}
			switch {
			case ends && (p == nil || p != d.wanted.Load()):
				return nil // no process is to follow
			case p == nil && s == syscall.SIGHUP:
				d.requestReload()
			case p == nil && togglesLevel(s):
				d.toggleLevel(s)
			}
		}
	}
}

// passOn passes a signal on to the process. "systemctl reload" waits for an answer
// to its SIGHUP, which a process that does not speak with systemd cannot give.
func (d *daemon) passOn(p *notify.Process, sig syscall.Signal) {
	if sig == syscall.SIGHUP && !p.Spec().Notify {
		defer d.systemd.Reloading()()
	}
	p.Signal(sig)
}

// environ is what a process finds in its environment beside its own.
func (d *daemon) environ(p *config.Process) []string {
	if !p.Notify {
		return nil
	}
	return d.systemd.Environ()
}

// status gathers what the parts say of themselves. It may be called from any
// goroutine, and blocks none.
func (d *daemon) status() health.Status {
	p := d.parts.Load()
	s := health.Status{
		Version: d.version, Started: d.started,
		Source: p.source.Status(), Outputs: d.publisher.Status(), Reload: d.lastReload(),
		Unstarted: d.publisher.Unstarted(), Recent: d.events.Recent(),
	}
	if h := p.config.Health; h != nil {
		s.NeedsWrites = h.LiveNeedsWrites
	}
	proof := func(st *notify.ProofStatus) {
		if st != nil {
			s.Proofs = append(s.Proofs, *st)
		}
	}
	if running := d.running.Load(); running != nil {
		st := running.Status()
		s.Process = &st
		s.Told = append(s.Told, running.Told())
		proof(running.Proof())
	}
	for _, h := range p.hooks {
		s.Hooks = append(s.Hooks, h.Status())
		s.Told = append(s.Told, h.Told())
		proof(h.Proof())
	}
	return s
}
