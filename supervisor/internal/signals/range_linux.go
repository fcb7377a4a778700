package signals

import (
	"syscall"
)

const (
	Last          = syscall.Signal(64)
	firstRealTime = syscall.Signal(34) // as libc counts; it keeps 32 and 33 for itself
)

func isRealTime(sig syscall.Signal) bool { return sig >= firstRealTime && sig <= Last }
