// Package helper puts the parts together: Run is the daemon, Once the one-shot.
//
// There is one way through for a rotation:
//
//  1. source, (*Source).Run: an answer of the Workload API is checked and becomes
//     a snapshot.
//  2. publish, (*Publisher).Run: it hears of the snapshot and calls Rotate.
//  3. encode, (*Encoder).Encode: the snapshot becomes the files of an output.
//  4. writer, (*Dir).Publish: the files become the visible set, at once.
//  5. publish, (*Publisher).tell: the change is passed on, to the process first.
//  6. notify, (*Process).Tell and (*Hook).Tell: the target is told, through
//     supervisor, (*Supervisor).Rotated, and hook, (*Hook).Rotated.
//  7. notify, (*proofRunner).prove: the service is dialled until it serves the
//     new certificate.
//  8. health, (*Server).Run: a probe sees what each part says of itself.
//
// The parts share nothing but immutable values and channels that hold the latest.
// Each is run by the daemon's runner, which exchanges those that a new
// configuration changes.
package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

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
	// The caller subscribes until the program's end: a signal that comes when
	// the process has just ended must not take the place of its status.
	Signals <-chan os.Signal
	// Level is that of the logger, which can be changed at run time; nil: it
	// cannot.
	Level *slog.LevelVar
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
	defer func() { err = errors.Join(err, d.publisher.Close()) }()

	var g run.Group
	{ // signals, before there is anything that they could be for
		add(&g, ctx, func(ctx context.Context) error { return d.handleSignals(ctx, o.Signals) })
	}
	{ // the source, the process, the hooks and health; the process's end is the helper's
		add(&g, ctx, d.runner.run)
	}
	{ // the output directories
		add(&g, ctx, d.publisher.Run)
	}
	{ // the event stream
		add(&g, ctx, d.events.Run)
	}
	{ // the configuration file
		add(&g, ctx, d.watchFile)
	}
	if d.systemd != nil { // the service manager
		add(&g, ctx, func(ctx context.Context) error { return d.systemd.Run(ctx, d) })
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
