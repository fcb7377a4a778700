package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor"
	hooks "github.com/svidhelper/svidhelper/supervisor/hook"
)

// A target is somebody who is told of rotations, the process or a hook, and
// perhaps a witness that looks whether it has taken them up.
type target struct {
	name     string
	on       snapshot.Kind
	tell     func(c change, first bool) // never blocks
	progress func() progress
	updates  <-chan struct{} // progress has changed
	witness  *witness        // nil: no proof
	journal  *events.Stream
	run      part

	turns   turns
	arrived chan struct{} // capacity 1: there is a new turn
}

// progress is how far a target's notifications have come: how many were asked
// for, how many have reached it, and why the next one cannot, or empty.
type progress struct {
	asked, delivered uint64
	stuck            string
}

// equip adds what every target has: somebody who follows its progress, and the
// witness if there is a proof. run is the target's own part.
func (t *target) equip(run part, cfg *proof.Config, escalate func(proof.Escalation) error, log *slog.Logger) (err error) {
	if cfg == nil {
		t.run = with(run, t.follow)
		return nil
	}
	if t.witness, err = newWitness(cfg, t, escalate, log); err != nil {
		return err
	}
	t.run = with(run, t.follow, t.witness.run)
	return nil
}

// follow notes each notification that has reached the target, and each reason
// why one has not, until ctx ends.
func (t *target) follow(ctx context.Context) error {
	var last progress
	late := time.NewTimer(0)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			t.turns.take(progress{stuck: "ended"}, time.Now())
			return nil
		case <-t.updates:
		case <-t.arrived:
		case <-late.C:
		}
		now := t.progress()
		if now.delivered > last.delivered {
			t.journal.Note(events.Event{Event: events.Notified, Target: t.name, Rotations: now.delivered})
		}
		if now.stuck != "" && now.stuck != last.stuck {
			t.journal.Note(events.Event{Event: events.Failed, Failed: "notify", Target: t.name, Error: now.stuck})
		}
		last = now
		if t.witness != nil {
			t.witness.progressed()
		}
		if next := t.turns.take(now, time.Now()); !next.IsZero() {
			late.Reset(time.Until(next))
		}
	}
}

// then has f run when the target has been told of all that it was asked to be
// told of so far, or cannot be, or takes too long. It never blocks.
func (t *target) then(f func()) {
	t.turns.add(turn{asked: t.progress().asked, until: time.Now().Add(turnPatience), run: f})
	select {
	case t.arrived <- struct{}{}:
	default:
	}
}

// rotated tells the target what changed, and has the witness look.
func (t *target) rotated(c change, first bool) {
	published := time.Now()
	t.tell(c, first)
	if t.witness != nil {
		t.witness.expect(c.onDisk, published)
	}
}

// A process is the target that the helper runs itself.
type process struct {
	*supervisor.Supervisor
	*target
	spec *config.Process
}

func newProcess(spec *config.Process, j *events.Stream, log *slog.Logger) (*process, error) {
	s, err := supervisor.New(spec.Spec, log)
	if err != nil {
		return nil, err
	}
	p := &process{Supervisor: s, spec: spec}
	p.target = &target{
		name:    "process",
		on:      spec.On,
		tell:    func(change, bool) { s.Rotated() },
		updates: s.Updates(),
		journal: j,
		arrived: make(chan struct{}, 1),
		progress: func() progress {
			st := s.Status()
			return progress{st.Rotated, st.Delivered, st.Failure}
		},
	}
	return p, p.equip(p.supervise, spec.Proof, p.escalate, log.With("target", p.name))
}

// supervise is the process's part. One that comes and goes with the rotations,
// as cmd of a spiffe-helper file does, has its exit status to itself: that it
// was stopped with the helper is no failure of the helper's.
func (p *process) supervise(ctx context.Context) error {
	err := p.Run(ctx)
	var ended *supervisor.ExitError
	if p.spec.Restart == supervisor.RestartOnRotation && errors.As(err, &ended) && ended.Err == nil {
		return nil
	}
	return err
}

func (p *process) escalate(e proof.Escalation) error {
	switch e {
	case proof.EscalateSignal:
		p.Rotated()
	case proof.EscalateRestart:
		p.Restart()
	}
	return nil
}

// A hook is a target that lives without the helper.
type hook struct {
	*hooks.Hook
	*target
	spec *config.Hook
}

func newHook(spec *config.Hook, j *events.Stream, log *slog.Logger) (*hook, error) {
	h, err := hooks.New(spec.Spec, log)
	if err != nil {
		return nil, err
	}
	t := &hook{Hook: h, spec: spec}
	t.target = &target{
		name:    spec.Name,
		on:      spec.On,
		tell:    func(c change, first bool) { h.Rotated(c.notice(first)) },
		updates: h.Updates(),
		journal: j,
		arrived: make(chan struct{}, 1),
		progress: func() progress {
			st := h.Status()
			if st.LastError != nil {
				return progress{st.Asked, st.Delivered, st.LastError.Error()}
			}
			return progress{st.Asked, st.Delivered, ""}
		},
	}
	if err := t.equip(h.Run, spec.Proof, t.escalate, log.With("target", "hook "+spec.Name)); err != nil {
		return nil, fmt.Errorf("hook %q: %w", spec.Name, err)
	}
	return t, nil
}

func (h *hook) escalate(e proof.Escalation) error {
	if e == proof.EscalateRestart {
		return errors.New("a hook has no process to restart")
	}
	h.Rotated(hooks.Notice{First: true}) // at once, without splay
	return nil
}

// newHooks makes the hooks of a configuration, taking over those of old that
// are the same.
func newHooks(specs []config.Hook, old []*hook, j *events.Stream, log *slog.Logger) ([]*hook, error) {
	var hooks []*hook
	for i := range specs {
		h := findHook(old, &specs[i])
		if h == nil {
			var err error
			if h, err = newHook(&specs[i], j, log); err != nil {
				return nil, err
			}
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

func findHook(hooks []*hook, spec *config.Hook) *hook {
	for _, h := range hooks {
		if reflect.DeepEqual(h.spec, spec) {
			return h
		}
	}
	return nil
}
