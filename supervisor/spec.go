package supervisor

import (
	"fmt"
	"syscall"
	"time"
)

// A Spec says what process to run and how to treat it. The zero value of every
// field is its default.
type Spec struct {
	// Command is the argument vector; nothing goes through a shell.
	Command []string
	// Dir is the working directory; empty means the helper's own.
	Dir string
	// Env is added to the helper's own environment; on a key that stands
	// there already, Env wins.
	Env []string
	// User and Group are names or numbers; empty means the helper's own.
	User, Group string
	// PassFDs lists descriptors above 2 that the process inherits.
	PassFDs []int
	// NoNewPrivs sets the Linux attribute of that name.
	NoNewPrivs bool
	// Subreaper makes the helper adopt and reap orphans, as PID 1 does anyway.
	Subreaper bool

	// OnRotation is what the process is told of a rotation. It has no default.
	OnRotation Rotation
	// Splay spreads restarts and reloads over this span; never at start,
	// never at stop.
	Splay time.Duration
	// MinInterval is the least time from one notification to the next. A start
	// counts as one.
	MinInterval time.Duration

	// Restart says when a process that has exited is started again.
	Restart RestartPolicy
	// MaxRestarts within RestartWindow gives up; 0 means never, and no window
	// the helper's whole life.
	MaxRestarts   int
	RestartWindow time.Duration

	// StopSignal asks the process to end; 0 means SIGTERM.
	StopSignal syscall.Signal
	// StopTimeout is the time until SIGKILL follows; 0 means never.
	StopTimeout time.Duration

	// SignalRewrite maps a received signal to the one forwarded; 0 drops it.
	// A signal that a Go program cannot receive is refused here.
	SignalRewrite map[syscall.Signal]syscall.Signal
	// SignalGroup sends to the whole process group.
	SignalGroup bool
}

// Rotation is what a process is told of a rotation. The zero value is no choice,
// and is refused: a signal ends a process that does not handle it, a restart
// drops connections, and without either the process may serve an expired
// certificate.
type Rotation struct {
	Action RotationAction
	Signal syscall.Signal // for RotationSignal, else 0
}

// RotationAction is the kind of a Rotation.
type RotationAction uint8

// The kinds of Rotation.
const (
	RotationSignal  RotationAction = iota // send Signal
	RotationRestart                       // stop, then start
	RotationNone                          // nothing
)

// RestartPolicy says when a process that has exited is started again.
type RestartPolicy string

const (
	RestartNever      RestartPolicy = ""            // its exit is the helper's
	RestartOnFailure  RestartPolicy = "on-failure"  // when its status is not 0
	RestartAlways     RestartPolicy = "always"      // whatever its status
	RestartOnRotation RestartPolicy = "on-rotation" // not now: at the next rotation, and if it cannot be executed now, then too
)

// An ExitError is the end of a process in the shell's terms: its own status, or
// 128 plus the signal that ended it, or 126 or 127 when it could not be
// executed.
type ExitError struct {
	Code int
	Err  error // why, where there is more to say than the code
}

func (e *ExitError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("process exited with status %d", e.Code)
}

func (e *ExitError) Unwrap() error { return e.Err }
