//go:build unix

package helper

import (
	"os"
	"syscall"
)

// togglesLevel reports whether a signal is the one that changes the log level.
func togglesLevel(s os.Signal) bool { return s == syscall.SIGUSR2 }
