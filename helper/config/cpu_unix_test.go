//go:build unix

package config

import (
	"syscall"
	"time"
)

// spent is how much of the processors this process has had: what a machine is
// busy with otherwise does not count.
func spent() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
