//go:build linux || darwin

package supervisor

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// Signals returns the signals to subscribe to and to hand to Signal: every one
// that can be caught, except those that are the helper's own affair (SIGCHLD,
// SIGURG, SIGPIPE), that Run takes itself since they may stop the helper, too
// (SIGTSTP, SIGTTIN, SIGTTOU), and that were ignored when the helper was
// started, as by nohup: they stay ignored, for the process too.
func Signals() []os.Signal {
	var all []os.Signal
	for n := syscall.Signal(1); n <= signals.Last; n++ {
		switch n {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE,
			syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
			continue
		}
		if !signal.Ignored(n) {
			all = append(all, n)
		}
	}
	return all
}

func (spec *Spec) checkSignals() error {
	sent := map[string]syscall.Signal{"on_rotation": spec.OnRotation.Signal, "stop_signal": spec.StopSignal}
	for from, to := range spec.SignalRewrite {
		sent["signal_rewrite of "+signals.Name(from)] = to
		if from < 1 || from > signals.Last {
			return fmt.Errorf("signal_rewrite: signal %d does not exist", int(from))
		}
	}
	for what, sig := range sent {
		if sig < 0 || sig > signals.Last {
			return fmt.Errorf("%s: signal %d does not exist", what, int(sig))
		}
	}
	for _, what := range []string{"on_rotation", "stop_signal"} {
		if signals.Suspends(sent[what]) || sent[what] == syscall.SIGSTOP {
			return fmt.Errorf("%s: %s would only suspend the process", what, signals.Name(sent[what]))
		}
	}
	return nil
}
