package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"syscall"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor"
)

// A Process is the target that the helper runs itself.
type Process struct {
	spec       *config.Process
	supervisor *supervisor.Supervisor
	target     target
	after      after
}

// NewProcess checks the specification, as far as can be checked before there is
// a process, which gets env in its environment. arrived is called with the number of
// each change after which everything so far has arrived at the process. Nothing runs
// before Run, and no process before Tell.
func NewProcess(spec *config.Process, env []string, arrived func(name string, number uint64), e *events.Stream, log *slog.Logger) (*Process, error) {
	own := spec.Spec
	own.Env = slices.Concat(env, own.Env)
	s, err := supervisor.New(own, log)
	if err != nil {
		return nil, err
	}
	p := &Process{spec: spec, supervisor: s}
	p.target = target{name: "process", on: spec.On, line: processLine{s}, events: e, arrived: arrived, wake: make(chan struct{}, 1)}
	p.target.followed = p.after.run
	if spec.Proof != nil {
		p.target.proof, err = newProofRunner(spec.Proof, &p.target, p.escalate, log.With("target", "process"))
	}
	return p, err
}

// Name is "process".
func (p *Process) Name() string { return p.target.name }

// On are the kinds of change that concern the process.
func (p *Process) On() snapshot.Kind { return p.spec.On }

// Notices reports whether the process notices new files by itself. One that ends and
// is started again by each rotation hears of it so.
func (p *Process) Notices() bool {
	return p.spec.OnRotation.Action == supervisor.RotationNone && p.spec.Restart != supervisor.RestartOnRotation
}

// Spec is what the process was made from.
func (p *Process) Spec() *config.Process { return p.spec }

// CheckReadable reports which of the files the process's user cannot read.
func (p *Process) CheckReadable(paths []string) error { return p.spec.CheckReadable(paths) }

// Tell says that every output is on disk, which starts the process, or, later,
// that a change concerns it. It never blocks.
func (p *Process) Tell(c publish.Change) { p.target.tell(c, p.supervisor.Rotated) }

// Signal passes on a signal that the helper received.
func (p *Process) Signal(sig syscall.Signal) { p.supervisor.Signal(sig) }

// Turns waits until the supervisor's loop has come round once.
func (p *Process) Turns(ctx context.Context) error { return p.supervisor.Turns(ctx) }

// Status is what the supervisor knows.
func (p *Process) Status() supervisor.Status { return p.supervisor.Status() }

// Told is how soon the process hears of what the Workload API sends.
func (p *Process) Told() ToldStatus { return p.target.toldStatus() }

// Proof is how the last proof went; nil if none is configured.
func (p *Process) Proof() *ProofStatus { return p.target.proof.current() }

// Run owns the process until its end is the helper's, or ctx ends and it has
// been stopped. A process that comes and goes with the rotations, as cmd of a
// spiffe-helper file does, has its exit status to itself: that it was stopped
// with the helper is no failure of the helper's.
func (p *Process) Run(ctx context.Context) error {
	err := p.target.run(ctx, p.supervisor.Run)
	p.after.run(progress{stuck: "ended"})
	var ended *supervisor.ExitError
	if p.spec.Restart == supervisor.RestartOnRotation && errors.As(err, &ended) && ended.Err == nil {
		return nil
	}
	return err
}

// escalate does what a proof that failed asks for. A restart is not for a
// service that has never been seen there: the address is wrong, more likely.
func (p *Process) escalate(e proof.Escalation) error {
	switch {
	case e == proof.EscalateSignal:
		p.supervisor.Again()
	case p.target.proof.everProven.Load():
		p.supervisor.Restart()
	default:
		return fmt.Errorf("the process is not restarted for a certificate that %s has never served: check proof's address", p.spec.Proof.TLS)
	}
	return nil
}

// processLine leads to the process.
type processLine struct{ s *supervisor.Supervisor }

func (l processLine) updates() <-chan struct{} { return l.s.Updates() }

func (l processLine) heard() { l.s.Heard() }

func (l processLine) progress() progress {
	st := l.s.Status()
	return progress{asked: st.Rotated, delivered: st.Delivered, at: st.LastDelivered, stuck: st.Failure}
}
