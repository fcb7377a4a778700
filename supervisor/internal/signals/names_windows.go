package signals

import (
	"syscall"
)

// Name returns the signal's name.
func Name(sig syscall.Signal) string { return sig.String() }

// There are no signals on Windows.

func Continues(syscall.Signal) bool     { return false }
func Suspends(syscall.Signal) bool      { return false }
func WantsTerminal(syscall.Signal) bool { return false }
func MeansEnd(syscall.Signal) bool      { return false }
