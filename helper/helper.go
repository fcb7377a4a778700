// Package helper puts the parts together: Run is the daemon, Once the one-shot.
//
// There is one way through: the source watches the Workload API, the rotator
// puts its snapshots on disk, the supervisor and the hooks tell whom it
// concerns, witnesses look whether it was taken up, and health says how all of
// that is. Each is an actor with one goroutine of its own that is waited for;
// they share nothing but immutable values and channels that hold the latest.
package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/oklog/run"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/supervisor"
)

// Options are what Run needs beside a configuration. The zero value is useful.
type Options struct {
	// Version is what health calls this program.
	Version string
	// File, unless empty, is watched; when it has changed, Load is called for
	// the configuration that takes the place of the running one.
	File string
	Load func() (*config.Config, error)
	// Signals are those that the helper receives, of supervisor.Signals.
	// Whoever subscribes does so until the program's end: one that comes when
	// the process has just ended must not take the place of its status.
	Signals <-chan os.Signal
}

// Run watches the Workload API, keeps the outputs fresh and the process told,
// until ctx ends, a stop signal arrives, or the process's end is ours. Its
// error is nil, a *supervisor.ExitError with the process's status, or a failure
// of our own.
func Run(ctx context.Context, c *config.Config, log *slog.Logger, o Options) (err error) {
	d, err := newDaemon(c, log, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.rotator.close()) }()

	var g run.Group
	{ // signals, before there is anybody whom they could concern
		add(&g, ctx, func(ctx context.Context) error { return d.handleSignals(ctx, o.Signals) })
	}
	{ // the Workload API
		add(&g, ctx, d.source.run)
	}
	{ // the process; its end is the helper's
		add(&g, ctx, d.process.run)
	}
	{ // whoever else wants to know
		add(&g, ctx, d.hooks.run)
	}
	{ // the output directories
		add(&g, ctx, d.rotator.run)
	}
	{ // the event stream
		add(&g, ctx, d.journal.Run)
	}
	{ // probes and scrapers
		add(&g, ctx, d.health.run)
	}
	{ // the configuration file
		add(&g, ctx, d.watchFile)
	}
	if c.Process == nil {
		defer supervisor.ReapOrphans()() // as PID 1, a hook's descendants are ours
	}
	if err := supervisor.ProtectMemory(); err != nil {
		log.Warn("private keys could end up in a core dump of svidhelper", "error", err)
	}
	return g.Run()
}

// add adds an actor whose interrupt cancels its context, and nothing else: an
// interrupt never blocks.
func add(g *run.Group, ctx context.Context, execute part) {
	ctx, cancel := context.WithCancel(ctx)
	g.Add(func() error { return execute(ctx) }, func(error) { cancel() })
}

// handleSignals hands signals to the process, whose supervisor knows which of
// them mean the end. With no process, SIGTERM, SIGINT and SIGQUIT mean the end and SIGHUP
// that the configuration is to be read again.
func (d *daemon) handleSignals(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-signals:
			if p := d.plan.Load().process; p != nil {
				p.Signal(s.(syscall.Signal))
				continue
			}
			switch s {
			case os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT:
				return nil
			case syscall.SIGHUP:
				d.requestReload()
			}
		}
	}
}

// ended is for parts whose silent end would leave the helper half alive.
func ended(what string, p part) part {
	return func(ctx context.Context) error {
		err := p(ctx)
		if err == nil && ctx.Err() == nil {
			return fmt.Errorf("%s ended by itself", what)
		}
		return err
	}
}
