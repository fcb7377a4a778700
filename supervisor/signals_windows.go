package supervisor

import (
	"errors"
	"os"
	"syscall"
)

// Signals returns what to subscribe to and to hand to Signal: Ctrl-C, and
// SIGTERM for a console that closes.
func Signals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// Receives reports whether the helper can receive sig.
func Receives(sig syscall.Signal) bool { return sig == syscall.SIGINT || sig == syscall.SIGTERM }

func (spec *Spec) checkSignals() error {
	if spec.OnRotation.Action == RotationSignal {
		return errors.New(`on_rotation: there are no signals on Windows, choose "restart" or "none"`)
	}
	if spec.StopSignal != 0 || len(spec.SignalRewrite) > 0 || spec.SignalGroup {
		return errors.New("stop_signal, signal_rewrite and signal_group: there are no signals on Windows")
	}
	return nil
}
