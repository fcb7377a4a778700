//go:build linux || darwin

package signals

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Name returns SIGHUP for 1, SIGRTMIN+3 for 37 on Linux, and the number of a signal
// that has no name.
func Name(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	if isRealTime(sig) {
		return strings.TrimSuffix("SIGRTMIN+"+strconv.Itoa(int(sig-firstRealTime)), "+0")
	}
	return strconv.Itoa(int(sig))
}

// Continues reports whether sig continues a process that was stopped.
func Continues(sig syscall.Signal) bool { return sig == syscall.SIGCONT }

// Suspends reports whether sig stops a process unless it is handled.
func Suspends(sig syscall.Signal) bool { return sig == syscall.SIGTSTP || WantsTerminal(sig) }

// WantsTerminal reports whether sig stops what uses a terminal that is not its
// own at the moment.
func WantsTerminal(sig syscall.Signal) bool {
	return sig == syscall.SIGTTIN || sig == syscall.SIGTTOU
}

// Harmless reports whether a process without a handler survives sig.
func Harmless(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH:
		return true
	}
	return false
}

// MeansEnd reports whether sig is one that people send to end a process.
func MeansEnd(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL:
		return true
	}
	return false
}
