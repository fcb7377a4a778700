//go:build linux || darwin

package hook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// maxTold bounds how many processes are signalled at once, and how many one
// notification follows.
const maxTold = 64

// A signaller signals the processes that a pid file or a name stands for.
//
// A pid can be given to another process at any moment. So each signal takes
// these steps:
//
//  1. read the pid;
//  2. take a handle on that process: a pidfd on Linux, which never turns into
//     another process (elsewhere it is the bare pid);
//  3. look at that process, and refuse one that cannot be the one that is meant;
//  4. wait until the signal would not end it for want of a handler;
//  5. signal through the handle.
//
// If the pid changes hands between (1) and (2), (3) sees the new process and
// refuses it; between (2) and (5), the handle is dead and the signal fails.
type signaller struct {
	sig    syscall.Signal
	finder finder
	told   map[identity]bool // of this notice
	log    *slog.Logger
}

// A finder finds the processes to signal.
type finder interface {
	// find returns at least one process, or an error that says what to do.
	find() ([]process, error)
	// vet says why a process that was found is not the one that is meant.
	vet(process) error
}

// A process is a process as the kernel describes it.
type process struct {
	pid, parent int
	name        string
	born        int64     // its start as the kernel counts, for comparing
	started     time.Time // the same on the wall clock, to some milliseconds
	boot        time.Time // the machine's start on that clock
	uids        []uint32  // real and effective
	dead        bool      // not yet reaped
}

// An identity tells a process from a later one with the same pid.
type identity struct {
	pid  int
	born int64
}

func (p process) identity() identity { return identity{p.pid, p.born} }

var errGone = errors.New("the process is gone")

func newSignaller(spec Spec, log *slog.Logger) (target, error) {
	s := &signaller{sig: cmp.Or(spec.Signal, syscall.SIGHUP), log: log}
	if s.sig < 0 || s.sig > signals.Last {
		return nil, fmt.Errorf("signal %d does not exist", int(s.sig))
	}
	if spec.PIDFile != "" {
		s.finder = &pidFile{path: spec.PIDFile, log: log}
		return s, nil
	}
	named, err := newProcessName(spec)
	s.finder = named
	return s, err
}

func (s *signaller) retries() int { return -1 } // until the process is there

// notify signals the processes that the finder finds, all at once, and then those
// that have taken the place of one of them meanwhile, perhaps with the old files.
// But what has taken the place of a process that the signal has ended is left
// alone. One more attempt leaves out those that an earlier one has reached.
func (s *signaller) notify(ctx context.Context, _ Notice, again bool) error {
	if !again {
		s.told = make(map[identity]bool)
	}
	for round := 0; ; round++ {
		procs, err := s.finder.find()
		if err != nil && round == 0 {
			return err
		}
		procs = slices.DeleteFunc(procs, func(p process) bool { return s.told[p.identity()] })
		if err != nil || len(procs) == 0 {
			return nil
		}
		if err := s.signalAll(ctx, procs); err != nil {
			return err
		}
		if signals.MeansEnd(s.sig) || len(s.told) >= maxTold {
			return nil
		}
	}
}

// signalAll signals all of them, so that one that has no handler, or is another's
// process of the same name, holds up none of the others.
func (s *signaller) signalAll(ctx context.Context, procs []process) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed []error
		slots  = make(chan struct{}, maxTold)
	)
	for _, p := range procs {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			err := s.signal(ctx, p.pid)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, fmt.Errorf("%s to pid %d: %w", signals.Name(s.sig), p.pid, err))
				return
			}
			s.told[p.identity()] = true
			s.log.Info("hook process signalled", "pid", p.pid, "signal", signals.Name(s.sig))
		})
	}
	wg.Wait()
	if more := len(failed) - 1; more > 0 {
		return fmt.Errorf("%w, and %d more like it", failed[0], more)
	} else if more == 0 {
		return failed[0]
	}
	return nil
}

// signal takes steps (2) to (5).
func (s *signaller) signal(ctx context.Context, pid int) error {
	if pid == os.Getpid() {
		return errors.New("that is the helper itself")
	}
	handle, err := os.FindProcess(pid) // (2)
	if err != nil {
		return err
	}
	defer handle.Release()

	p, err := lookUpProcess(pid) // (3)
	if err != nil {
		return err
	}
	if p.dead {
		return errGone
	}
	if err := s.finder.vet(p); err != nil {
		return err
	}
	if err := s.waitHandled(ctx, p); err != nil { // (4)
		return err
	}
	switch err := handle.Signal(s.sig); { // (5)
	case errors.Is(err, os.ErrProcessDone), errors.Is(err, syscall.ESRCH):
		return errGone
	default:
		return err
	}
}

// waitHandled waits until the signal would not end p for want of a handler. A
// process that has had its time is not waited for.
func (s *signaller) waitHandled(ctx context.Context, p process) error {
	if signals.Harmless(s.sig) || signals.Suspends(s.sig) || s.sig == syscall.SIGSTOP || s.sig == syscall.SIGKILL {
		return nil
	}
	shown := signals.Open(p.pid)
	defer shown.Close()
	var watch signals.Watch
	for {
		w, verdict, next := watch.Look(shown.Handling(s.sig), p.started, time.Now())
		watch = w
		switch {
		case verdict == signals.Send:
			return nil
		case verdict == signals.Never && signals.MeansEnd(s.sig):
			return nil // it was chosen to end the process
		case verdict == signals.Never:
			return fmt.Errorf("it has no handler for the signal, which would end it, and has run for %v", signals.Patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(next)):
		}
		now, err := lookUpProcess(p.pid)
		if err != nil {
			return err
		}
		if now.dead || now.born != p.born {
			return errGone
		}
	}
}
