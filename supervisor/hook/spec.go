package hook

import (
	"syscall"
	"time"
)

// A Spec says whom else to tell of a rotation, beside the process: exactly
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
	// ProcessName is the name (comm) of the process to signal, in a shared PID
	// namespace.
	ProcessName string
	// Signal is what PIDFile's or ProcessName's process gets; 0 means SIGHUP.
	Signal syscall.Signal

	// Splay spreads notifications over this span; never at start.
	Splay time.Duration
}
