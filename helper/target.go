package helper

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor"
)

// A target is somebody who is told of rotations, the process or a hook, and
// perhaps a witness that looks whether it has taken them up.
type target struct {
	name    string
	on      snapshot.Kind
	tell    func(c change, first bool) // never blocks
	witness *witness                   // nil: no proof
	run     part
}

// rotated tells the target what changed, and has the witness look.
func (t *target) rotated(c change, first bool, s *snapshot.Snapshot) {
	published := time.Now()
	t.tell(c, first)
	if t.witness != nil {
		t.witness.expect(s, published)
	}
}

// A process is the target that the helper runs itself.
type process struct {
	*supervisor.Supervisor
	*target
	spec *config.Process
}

func newProcess(spec *config.Process, log *slog.Logger) (*process, error) {
	s, err := supervisor.New(spec.Spec, log)
	if err != nil {
		return nil, err
	}
	p := &process{
		Supervisor: s,
		spec:       spec,
		target: &target{
			name: "process",
			on:   spec.On,
			tell: func(change, bool) { s.Rotated() },
			run:  s.Run,
		},
	}
	if spec.Proof == nil {
		return p, nil
	}
	p.witness, err = newWitness(spec.Proof, p, p.escalate, log.With("target", "process"))
	if err != nil {
		return nil, err
	}
	p.run = together(s.Run, p.witness.run)
	return p, nil
}

func (p *process) progress() (asked, delivered uint64, stuck bool) {
	st := p.Status()
	return st.Rotated, st.Delivered, st.Failure != ""
}

func (p *process) updates() <-chan struct{} { return p.Updates() }

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
	*supervisor.Hook
	*target
	spec *config.Hook
}

func newHook(spec *config.Hook, log *slog.Logger) (*hook, error) {
	h, err := supervisor.NewHook(spec.HookSpec, log)
	if err != nil {
		return nil, err
	}
	t := &hook{
		Hook: h,
		spec: spec,
		target: &target{
			name: spec.Name,
			on:   spec.On,
			tell: func(c change, first bool) { h.Rotated(c.notice(first)) },
			run:  h.Run,
		},
	}
	if spec.Proof == nil {
		return t, nil
	}
	t.witness, err = newWitness(spec.Proof, t, t.escalate, log.With("target", "hook "+spec.Name))
	if err != nil {
		return nil, fmt.Errorf("hook %q: %w", spec.Name, err)
	}
	t.run = together(h.Run, t.witness.run)
	return t, nil
}

func (h *hook) progress() (asked, delivered uint64, stuck bool) {
	st := h.Status()
	return st.Asked, st.Delivered, st.LastError != nil
}

func (h *hook) updates() <-chan struct{} { return h.Updates() }

func (h *hook) escalate(e proof.Escalation) error {
	if e == proof.EscalateRestart {
		return errors.New("a hook has no process to restart")
	}
	h.Rotated(supervisor.Notice{First: true}) // at once, without splay
	return nil
}

// newHooks makes the hooks of a configuration, taking over those of old that
// are the same.
func newHooks(specs []config.Hook, old []*hook, log *slog.Logger) ([]*hook, error) {
	var hooks []*hook
	for i := range specs {
		h := findHook(old, &specs[i])
		if h == nil {
			var err error
			if h, err = newHook(&specs[i], log); err != nil {
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
