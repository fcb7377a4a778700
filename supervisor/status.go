package supervisor

import (
	"syscall"
	"time"
)

// A Status is what the supervisor knows at one moment. It is a value: nothing
// in it changes.
type Status struct {
	State State
	// PID is the process's, 0 when none runs.
	PID int
	// Started is when the process that runs, or ran last, was started.
	Started time.Time
	// Starts counts the processes so far, Restarts all but the first.
	Starts, Restarts uint64
	// Crashes counts the ends that nobody asked for and that a restart follows.
	// InARow are those of them since the process last ran for half a minute.
	Crashes uint64
	InARow  int
	// LastExit is the last end of a process; nil before there was one.
	LastExit *Exit
	// Backoff is when a process is started again, while State is StateBackoff.
	Backoff time.Time
	// Rotated counts the calls of Rotated. Delivered is how many of them have
	// reached a process: it was started after them, was sent its signal for
	// them, or wants to hear nothing.
	Rotated, Delivered uint64
	// LastDelivered is when that was last the case.
	LastDelivered time.Time
	// Ending says that the process was asked to end, or has ended, and that none
	// follows.
	Ending bool
	// Failure is why the process is not up to date and trying again may not
	// help; empty when all is well.
	Failure string
}

// State is where the process is in its life.
type State string

// The states of a process.
const (
	StateWaiting  State = "waiting"  // no process, the next rotation starts one
	StateStarting State = "starting" // it is being executed
	StateRunning  State = "running"
	StateStopping State = "stopping" // it was asked to end
	StateBackoff  State = "backoff"  // no process, time starts one
	StateDone     State = "done"     // nothing follows
)

// states are the names of the phases.
var states = [...]State{
	waiting:  StateWaiting,
	starting: StateStarting,
	running:  StateRunning,
	stopping: StateStopping,
	backoff:  StateBackoff,
	done:     StateDone,
}

// An Exit is the end of a process.
type Exit struct {
	At time.Time
	// Code is the exit status, unless Signal ended the process.
	Code   int
	Signal syscall.Signal
}

// Status returns the end in the shell's terms: the status, or 128 plus the
// signal.
func (e Exit) Status() int {
	if e.Signal != 0 {
		return 128 + int(e.Signal)
	}
	return e.Code
}

func (e Exit) err() error {
	if e.Status() == 0 {
		return nil
	}
	return &ExitError{Code: e.Status()}
}

func (s state) status() Status {
	st := Status{
		State:         states[s.phase],
		PID:           s.pid,
		Started:       s.startedAt,
		Starts:        s.starts,
		Crashes:       s.crashes,
		InARow:        s.failures,
		LastExit:      s.last,
		Rotated:       s.asked,
		Delivered:     s.delivered,
		LastDelivered: s.toldAt,
		Ending:        s.stop || s.phase == done,
		Failure:       s.failure,
	}
	if s.starts > 0 {
		st.Restarts = s.starts - 1
	}
	if s.phase == backoff {
		st.Backoff = s.startAt
	}
	return st
}
