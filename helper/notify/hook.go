package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// A Hook is the target that lives without the helper.
type Hook struct {
	spec      *config.Hook
	hook      *hook.Hook
	target    target
	before    atomic.Pointer[Process] // is told first; nil: none
	delivered func(name string, number uint64)
}

// NewHook checks the specification. delivered is called with the number of each
// change after which the hook has been told of everything so far, arrived once that
// is proven, too.
func NewHook(spec *config.Hook, delivered, arrived func(name string, number uint64), e *events.Stream, log *slog.Logger) (*Hook, error) {
	h, err := hook.New(spec.Spec, log)
	if err != nil {
		return nil, err
	}
	t := &Hook{spec: spec, hook: h, delivered: delivered}
	t.target = target{name: spec.Name, on: spec.On, line: hookLine{h}, events: e, arrived: arrived, wake: make(chan struct{}, 1)}
	t.target.followed = t.followed
	if spec.Proof != nil {
		t.target.proof, err = newProofRunner(spec.Proof, &t.target, t.escalate, log.With("target", "hook "+spec.Name))
	}
	if err != nil {
		return nil, fmt.Errorf("hook %q: %w", spec.Name, err)
	}
	return t, nil
}

// After has changes reach the hook after a process that they reach first; nil
// means at once.
func (h *Hook) After(p *Process) { h.before.Store(p) }

// Name is the hook's.
func (h *Hook) Name() string { return h.spec.Name }

// On are the kinds of change that concern the hook.
func (h *Hook) On() snapshot.Kind { return h.spec.On }

// Spec is what the hook was made from.
func (h *Hook) Spec() *config.Hook { return h.spec }

// Tell has the hook told of a change. It never blocks.
func (h *Hook) Tell(c publish.Change) {
	tell := func() {
		h.target.tell(c, func() { h.hook.Rotated(notice(c)) })
	}
	if before := h.before.Load(); before != nil {
		before.then(tell)
	} else {
		tell()
	}
}

// Prove has the proof looked for of what is on disk, of which the hook has been
// told before.
func (h *Hook) Prove(c publish.Change) { h.target.prove(c) }

// Status is what has become of the hook's notifications.
func (h *Hook) Status() hook.Status { return h.hook.Status() }

// Told is how soon the hook's target hears of what the Workload API sends.
func (h *Hook) Told() ToldStatus { return h.target.toldStatus() }

// Proof is how the last proof went; nil if none is configured.
func (h *Hook) Proof() *ProofStatus { return h.target.proof.current() }

// Run tells the hook of rotations until ctx ends.
func (h *Hook) Run(ctx context.Context) error { return h.target.run(ctx, h.hook.Run) }

// followed reports a hook that has been told of everything so far. The number is
// read first: a change that comes in between is not taken for delivered.
func (h *Hook) followed(progress) {
	number := h.target.number.Load()
	if st := h.hook.Status(); number > 0 && st.Delivered == st.Asked {
		h.delivered(h.spec.Name, number)
	}
}

func (h *Hook) escalate(e proof.Escalation) error {
	if e == proof.EscalateRestart {
		return errors.New("a hook has no process to restart")
	}
	h.hook.Again()
	return nil
}

// hookLine leads to a hook.
type hookLine struct{ h *hook.Hook }

func (l hookLine) updates() <-chan struct{} { return l.h.Updates() }

func (l hookLine) heard() { l.h.Heard() }

func (l hookLine) progress() progress {
	st := l.h.Status()
	p := progress{asked: st.Asked, delivered: st.Delivered, at: st.LastDelivered}
	if st.LastError != nil {
		p.stuck = st.LastError.Error()
	}
	return p
}
