package hook

import (
	"syscall"
	"time"
)

// A Spec says what else is told of a rotation, beside the process: exactly
// one of Command, PIDFile and ProcessName is set.
type Spec struct {
	// Name names the hook in logs and status.
	Name string

	// Command is run, without a shell, once for each notification.
	Command []string
	// Timeout bounds one run of Command; 0 means 30 s.
	Timeout time.Duration
	// Retries is how often a failed run is tried again.
	Retries int

	// PIDFile holds the pid to signal; it is read anew each time.
	PIDFile string
	// ProcessName is the name (comm) of the processes to signal, in a shared PID
	// namespace. Every match is tried.
	ProcessName string
	// Owner is the user, a name or a number, whose processes of that name are
	// meant; empty means any user's. Any user can give a process any name.
	Owner string
	// Signal is what PIDFile's or ProcessName's process gets; 0 means SIGHUP.
	Signal syscall.Signal

	// Splay spreads notifications over this span; never at start.
	Splay time.Duration
	// MinInterval is the least time from one notification to the next.
	MinInterval time.Duration
}
