package signals

import (
	"strconv"
	"syscall"
)

// Last is the highest number that Go gives a signal here.
const Last = syscall.Signal(31)

// Windows has no signals, but Go gives some of them numbers, and a configuration
// that was written for another system should still be understood.
var names = map[syscall.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGKILL: "SIGKILL",
	syscall.SIGTERM: "SIGTERM", syscall.SIGABRT: "SIGABRT",
}

// Name returns the signal's name, or its number.
func Name(sig syscall.Signal) string {
	if name, ok := names[sig]; ok {
		return name
	}
	return strconv.Itoa(int(sig))
}

// There are no signals on Windows.

func Continues(syscall.Signal) bool     { return false }
func Suspends(syscall.Signal) bool      { return false }
func WantsTerminal(syscall.Signal) bool { return false }
func MeansEnd(syscall.Signal) bool      { return false }
