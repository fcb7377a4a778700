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
// that the helper receives, except those that Run takes itself since they may stop
// the helper, too (SIGTSTP, SIGTTIN, SIGTTOU), and those that were ignored when the
// helper was started, as by nohup: they stay ignored, for the process too.
func Signals() []os.Signal {
	var all []os.Signal
	for n := syscall.Signal(1); n <= signals.Last; n++ {
		if Receives(n) && !signals.Suspends(n) && !signal.Ignored(n) {
			all = append(all, n)
		}
	}
	return all
}

// Receives reports whether the helper can receive sig, and so pass it on. The
// kernel, or the Go runtime, keeps the others to itself: SIGKILL, SIGSTOP,
// SIGPROF, SIGURG, and the real-time signals 32 to 34. SIGCHLD and SIGPIPE are
// about the helper's own children and pipes.
func Receives(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGPROF, syscall.SIGURG, syscall.SIGCHLD, syscall.SIGPIPE, 32, 33, 34:
		return false
	}
	return sig >= 1 && sig <= signals.Last
}

func (spec *Spec) checkSignals() error {
	sent := map[string]syscall.Signal{"on_rotation": spec.OnRotation.Signal, "stop_signal": spec.StopSignal}
	for from, to := range spec.SignalRewrite {
		sent["signal_rewrite of "+signals.Name(from)] = to
		if !Receives(from) {
			return fmt.Errorf("signal_rewrite: %s does not reach the helper, as no Go program can pass it on", signals.Name(from))
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
