package supervisor

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// A Supervisor owns one process and its notifications. One goroutine, that of
// Run, holds the state and is the only one to touch the process; the methods
// only leave word for it.
type Supervisor struct {
	spec *Spec
	log  *slog.Logger
	host host

	asked    atomic.Uint64 // calls of Rotated
	rotated  chan struct{}
	repeat   atomic.Bool // Again was called after Heard
	repeats  chan struct{}
	restarts chan struct{}
	signals  chan syscall.Signal
	stop     context.CancelFunc
	stopping <-chan struct{}
	pulses   chan struct{}
	ended    chan struct{}

	status  atomic.Pointer[Status]
	updates chan struct{}
}

// A host is what the loop needs of the operating system.
type host interface {
	// open returns when to poll, and the signals of job control. From then on the
	// helper inherits orphans, if the Spec asks for that.
	open(*Spec) (changes, jobs <-chan os.Signal, shut func())
	// start executes the process. It may take as long as the file system does,
	// or until ctx ends.
	start(context.Context, *Spec) (process, error)
	// suspend stops the helper itself, for a process that job control has
	// stopped; resume follows SIGCONT and reports whether it has continued p.
	suspend(p process, sig syscall.Signal)
	resume(p process) bool
}

// A process is a child that runs, or has ended and waits to be reaped. Its pid
// is its own until poll has returned its end.
type process interface {
	id() int
	// poll returns what has become of it since the last poll.
	poll(now time.Time) change
	// send signals it, or its whole group if the Spec says so.
	send(syscall.Signal) error
	// kill ends it and its group.
	kill() error
	// proceed continues it and its group.
	proceed()
	// handling tells what it does with a signal.
	handling(syscall.Signal) signals.Handling
}

// A change is what has become of a process: nothing, it was stopped by a
// signal, or it has ended.
type change struct {
	stopped syscall.Signal
	exit    *Exit
}

// New checks spec as far as can be checked before there is a process. A command
// that does not exist is an *ExitError 127, one that cannot be executed 126,
// unless it is started with each rotation.
func New(spec Spec, log *slog.Logger) (*Supervisor, error) {
	if err := spec.prepare(); err != nil {
		return nil, err
	}
	return newSupervisor(&spec, newHost(), log), nil
}

func newSupervisor(spec *Spec, h host, log *slog.Logger) *Supervisor {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Supervisor{
		spec:     spec,
		log:      log,
		host:     h,
		rotated:  make(chan struct{}, 1),
		repeats:  make(chan struct{}, 1),
		restarts: make(chan struct{}, 1),
		signals:  make(chan syscall.Signal, 64),
		stop:     cancel,
		stopping: ctx.Done(),
		pulses:   make(chan struct{}),
		ended:    make(chan struct{}),
		updates:  make(chan struct{}, 1),
	}
	s.status.Store(&Status{State: StateWaiting})
	return s
}

// Rotated says that every output is on disk, or that a rotation was published:
// the first call starts the process, later ones reach it as the Spec says. It
// never blocks, and calls that come close together may be one to the process.
func (s *Supervisor) Rotated() {
	s.asked.Add(1)
	ring(s.rotated)
}

// Again has the process told once more of the rotations so far, which it does not
// seem to have heard of. It is no rotation, and never blocks.
func (s *Supervisor) Again() {
	s.repeat.Store(true)
	ring(s.repeats)
}

// Heard withdraws Again: the process was seen to have heard, so that it is no failure
// if it could not be told once more. It never blocks.
func (s *Supervisor) Heard() {
	s.repeat.Store(false)
	ring(s.repeats)
}

// Restart asks for a process that is younger than the call: the one that runs
// is stopped, and followed by another one.
func (s *Supervisor) Restart() { ring(s.restarts) }

// Stop is the same as the end of Run's context: the process is stopped, and Run
// returns when it is gone. It does not wait.
func (s *Supervisor) Stop() { s.stop() }

// Signal says that the helper received sig. SIGTERM, SIGINT and the Spec's stop
// signal mean that the process is not to be started again when it ends; with
// no process they end Run. Every signal is passed on as the Spec says, in order.
// It waits only if Run is many signals behind.
func (s *Supervisor) Signal(sig syscall.Signal) {
	select {
	case s.signals <- sig:
	case <-s.ended:
	}
}

// Status returns what is known now.
func (s *Supervisor) Status() Status {
	// Read first: more may be delivered than asked for otherwise.
	st := *s.status.Load()
	st.Rotated = s.asked.Load()
	return st
}

// Updates hears that Status has changed; several changes may be one message.
func (s *Supervisor) Updates() <-chan struct{} { return s.updates }

// Turns waits until Run has come round once, or has ended. The error is that of
// ctx.
func (s *Supervisor) Turns(ctx context.Context) error {
	select {
	case s.pulses <- struct{}{}:
		return nil
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run owns the process until its end is the helper's end, or ctx ends and the
// process has been stopped. It returns an *ExitError unless the process ended
// with status 0 or there was none. It is called once.
func (s *Supervisor) Run(ctx context.Context) error {
	changes, jobs, shut := s.host.open(s.spec)
	defer shut()
	defer close(s.ended)

	l := loop{s: s, state: state{spec: s.spec, splay: s.spec.splayDelay()}}
	l.timer = time.NewTimer(0)
	defer l.timer.Stop()
	cancelled, stopping := ctx.Done(), s.stopping
	for l.state.phase != done {
		l.arm()
		select {
		case <-cancelled:
			cancelled = nil
			l.step(event{kind: evStop})
		case <-stopping:
			stopping = nil
			l.step(event{kind: evStop})
		case <-s.rotated:
			l.step(event{kind: evRotated, n: s.asked.Load()})
		case <-s.repeats:
			kind := evHeard
			if s.repeat.Load() {
				kind = evAgain
			}
			l.step(event{kind: kind})
		case <-s.restarts:
			l.step(event{kind: evRestart})
		case <-s.pulses:
		case sig := <-s.signals:
			l.signal(sig)
		case sig := <-jobs:
			l.signal(sig.(syscall.Signal))
		case st := <-l.starts:
			l.started(st)
		case <-changes:
			l.poll()
		case <-l.timer.C:
			l.step(event{kind: evTick})
		}
	}
	return l.state.result
}

// A loop is what Run's goroutine owns.
type loop struct {
	s       *Supervisor
	state   state
	process process
	starts  chan startResult // nil unless a start is under way
	giveUp  func()           // ends that start, if the process is not there yet
	timer   *time.Timer
	urged   bool // it was continued so that it hears the last signal
}

type startResult struct {
	process process
	err     error
}

// arm sets the timer to the state's deadline.
func (l *loop) arm() {
	if at := l.state.deadline(); at.IsZero() {
		l.timer.Stop()
	} else {
		l.timer.Reset(time.Until(at))
	}
}

// step lets the state see e, and does what it says.
func (l *loop) step(e event) {
	for queue := []event{e}; len(queue) > 0; queue = queue[1:] {
		e := queue[0]
		e.at, e.random = time.Now(), rand.Float64()
		before := l.state
		var acts []action
		l.state, acts = next(l.state, e)
		if l.starts != nil && l.state.stop {
			l.giveUp()
		}
		l.publish(before)
		l.report(before, e)
		for _, a := range acts {
			if follow, is := l.do(a); is {
				queue = append(queue, follow)
			}
		}
	}
}

// do carries out a, and returns the event that it makes, if any.
func (l *loop) do(a action) (e event, is bool) {
	switch a.kind {
	case actStart:
		l.start()
	case actSend:
		l.urged = false
		err := l.process.send(a.signal)
		l.reportSent(a, err)
	case actKill:
		err := l.process.kill()
		l.reportKilled(a, err)
	case actLook:
		return event{kind: evLooked, handling: l.process.handling(a.signal)}, true
	case actTell:
		err := l.process.send(a.signal)
		l.reportTold(a, err)
		return event{kind: evTold, n: a.n, err: err}, true
	}
	return event{}, false
}

// start executes the process without holding up the loop.
func (l *loop) start() {
	starts := make(chan startResult, 1)
	ctx, cancel := context.WithCancel(context.Background())
	l.starts, l.giveUp = starts, cancel
	go func() {
		defer cancel()
		p, err := l.s.host.start(ctx, l.s.spec)
		starts <- startResult{p, err}
	}()
}

func (l *loop) started(r startResult) {
	l.starts = nil
	if r.err != nil {
		failure := startError(l.s.spec.Command[0], r.err)
		l.step(event{kind: evFailed, err: failure, exit: Exit{At: time.Now(), Code: failure.Code}})
		return
	}
	l.process = r.process
	l.step(event{kind: evStarted, pid: r.process.id()})
	l.poll() // it may have ended already
}

// poll asks what has become of the process.
func (l *loop) poll() {
	for l.process != nil {
		switch c := l.process.poll(time.Now()); {
		case c.exit != nil:
			l.process = nil
			l.step(event{kind: evExited, exit: *c.exit})
		case c.stopped != 0:
			l.suspended(c.stopped)
		default:
			return
		}
	}
}

// suspended follows the process, which job control has stopped with sig. One
// that is to end, and asked for the terminal instead, is first continued once:
// stopped, it would not hear that it is to end.
func (l *loop) suspended(sig syscall.Signal) {
	if l.state.phase == stopping && signals.WantsTerminal(sig) && !l.urged {
		l.urged = true
		l.process.proceed()
		return
	}
	l.s.host.suspend(l.process, sig)
}

// together is how far apart signals may arrive that were sent one right after
// the other.
const together = 5 * time.Millisecond

func (l *loop) signal(sig syscall.Signal) {
	if signals.Continues(sig) {
		l.overtake()
		if l.s.host.resume(l.process) {
			return
		}
	}
	if l.process == nil && signals.Suspends(sig) {
		l.s.host.suspend(nil, sig)
		return
	}
	l.step(event{kind: evSignalled, signal: sig})
}

// overtake passes on what was sent right before a SIGCONT, and may come after
// it: each signal takes any thread of the helper. To end a stopped job, a shell
// sends SIGTERM and then SIGCONT; a process that was continued first might ask
// for the terminal and be stopped again.
func (l *loop) overtake() {
	for late := time.After(together); ; {
		select {
		case sig := <-l.s.signals:
			if !signals.Continues(sig) {
				l.step(event{kind: evSignalled, signal: sig})
			}
		case <-late:
			return
		}
	}
}

// publish makes the new state the Status.
func (l *loop) publish(before state) {
	if st := l.state.status(); st != before.status() {
		l.s.status.Store(&st)
		ring(l.s.updates)
	}
}

// ring makes sure that a message waits in c.
func ring(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
