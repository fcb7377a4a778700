package supervisor

import (
	"syscall"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// ParseSignal returns the signal of that name on this operating system: "HUP",
// "SIGHUP" or a number, in any case of letters, and on Linux "SIGRTMIN+3".
func ParseSignal(name string) (syscall.Signal, error) { return signals.Parse(name) }

// SignalName returns the signal in the form that ParseSignal reads.
func SignalName(sig syscall.Signal) string { return signals.Name(sig) }
