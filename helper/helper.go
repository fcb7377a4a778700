// Package helper puts the parts together: Run is the daemon, Once the one-shot.
//
// There is one way through: the source watches the Workload API, the rotator
// puts its snapshots on disk, the supervisor and the hooks tell whom it
// concerns. Each is an actor with one goroutine of its own that is waited for;
// they share nothing but immutable values and channels that hold the latest.
package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/oklog/run"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
)

// Run watches the Workload API, keeps the outputs fresh and the process told,
// until ctx ends, a stop signal arrives, or the process's end is ours. Its
// error is nil, a *supervisor.ExitError with the process's status, or a failure
// of our own.
func Run(ctx context.Context, c *config.Config, log *slog.Logger) (err error) {
	src, err := source.New(sourceConfig(c), log)
	if err != nil {
		return err
	}
	sup, err := newSupervisor(c.Process, log)
	if err != nil {
		return err
	}
	hooks, err := newHooks(c.Hooks, log)
	if err != nil {
		return err
	}
	outputs, err := openOutputs(c.Outputs, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeOutputs(outputs)) }()

	r := &rotator{log: log, source: src, outputs: outputs}
	var g run.Group
	{ // stop signals, and everything else that is forwarded to the process
		signals := make(chan os.Signal, 64)
		signal.Notify(signals, watched(sup)...)
		defer signal.Stop(signals)
		add(&g, ctx, func(ctx context.Context) error { return handleSignals(ctx, signals, sup) })
	}
	{ // the Workload API
		add(&g, ctx, src.Run)
	}
	if sup != nil { // the process; its end is the helper's
		r.process = processTarget(c.Process, sup)
		add(&g, ctx, sup.Run)
	}
	for i, h := range hooks { // whoever else wants to know
		r.hooks = append(r.hooks, hookTarget(&c.Hooks[i], h))
		add(&g, ctx, h.Run)
	}
	{ // the output directories
		add(&g, ctx, r.run)
	}
	err = g.Run()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// add adds an actor whose interrupt cancels its context, and nothing else: an
// interrupt never blocks.
func add(g *run.Group, ctx context.Context, execute func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	g.Add(func() error { return execute(ctx) }, func(error) { cancel() })
}

// watched are the signals that the helper wants to hear of.
func watched(sup *supervisor.Supervisor) []os.Signal {
	if sup != nil {
		return supervisor.Signals()
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM}
}

// handleSignals hands signals to the process, whose supervisor knows which of
// them mean the end. With no process, each means the end.
func handleSignals(ctx context.Context, signals <-chan os.Signal, sup *supervisor.Supervisor) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-signals:
			if sup == nil {
				return nil
			}
			sup.Signal(s.(syscall.Signal))
		}
	}
}

func sourceConfig(c *config.Config) source.Config {
	return source.Config{
		Address:         c.AgentAddress,
		Needs:           needs(c.Outputs),
		OnRevoked:       c.OnRevoked,
		RevocationGrace: c.RevocationGrace,
	}
}

func newSupervisor(p *config.Process, log *slog.Logger) (*supervisor.Supervisor, error) {
	if p == nil {
		return nil, nil
	}
	return supervisor.New(p.Spec, log)
}

func newHooks(specs []config.Hook, log *slog.Logger) ([]*supervisor.Hook, error) {
	var hooks []*supervisor.Hook
	for _, spec := range specs {
		h, err := supervisor.NewHook(spec.HookSpec, log)
		if err != nil {
			return nil, fmt.Errorf("hook %q: %w", spec.Name, err)
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}
