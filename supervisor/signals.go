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

// SignalNames are the names of the signals that have a meaning of their own.
func SignalNames() (names []string) {
	for sig := syscall.Signal(1); sig <= min(31, signals.Last); sig++ {
		names = append(names, signals.Name(sig))
	}
	return names
}
