//go:build unix

package config

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// lastSignal is the highest signal number: Linux counts real-time signals to
// 64.
var lastSignal = func() int {
	if runtime.GOOS == "linux" {
		return 64
	}
	return 31
}()

func signalNumber(name string) syscall.Signal { return unix.SignalNum(name) }

func signalName(sig syscall.Signal) string { return unix.SignalName(sig) }
