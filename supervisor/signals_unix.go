//go:build linux || darwin

package supervisor

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signals returns the signals to subscribe to and to hand to Signal: every one
// that can be caught, except those that are the helper's own affair (SIGCHLD,
// SIGURG, SIGPIPE), that Run takes itself since they may stop the helper, too
// (SIGTSTP, SIGTTIN, SIGTTOU), and that were ignored when the helper was
// started, as by nohup: they stay ignored, for the process too.
func Signals() []os.Signal {
	var all []os.Signal
	for n := syscall.Signal(1); n <= lastSignal; n++ {
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

// signalName returns SIGHUP for 1, SIGRTMIN+3 for 37 on Linux.
func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	if isRealTime(sig) {
		return strings.TrimSuffix("SIGRTMIN+"+strconv.Itoa(int(sig-firstRealTime)), "+0")
	}
	return "signal " + strconv.Itoa(int(sig))
}

func continues(sig syscall.Signal) bool { return sig == syscall.SIGCONT }

func suspends(sig syscall.Signal) bool { return sig == syscall.SIGTSTP || wantsTerminal(sig) }

// wantsTerminal reports whether sig stops what uses a terminal that is not its
// own at the moment.
func wantsTerminal(sig syscall.Signal) bool {
	return sig == syscall.SIGTTIN || sig == syscall.SIGTTOU
}

// harmless reports whether a process without a handler survives sig.
func harmless(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH:
		return true
	}
	return false
}

func (spec *Spec) checkSignals() error {
	sent := map[string]syscall.Signal{"on_rotation": spec.OnRotation.Signal, "stop_signal": spec.StopSignal}
	for from, to := range spec.SignalRewrite {
		sent["signal_rewrite of "+signalName(from)] = to
		if from < 1 || from > lastSignal {
			return fmt.Errorf("signal_rewrite: signal %d does not exist", int(from))
		}
	}
	for what, sig := range sent {
		if sig < 0 || sig > lastSignal {
			return fmt.Errorf("%s: signal %d does not exist", what, int(sig))
		}
	}
	for _, what := range []string{"on_rotation", "stop_signal"} {
		if suspends(sent[what]) || sent[what] == syscall.SIGSTOP {
			return fmt.Errorf("%s: %s would only suspend the process", what, signalName(sent[what]))
		}
	}
	return nil
}
