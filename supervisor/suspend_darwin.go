package supervisor

import (
	"syscall"
)

// A suspension is a time in which the helper is stopped.
type suspension struct{}

// suspendSelf stops the helper, and its whole group if a shell watches: the
// others of a pipeline would have been stopped by the terminal. The Go runtime
// leaves handlers in place even after signal.Reset, so it takes SIGSTOP.
func suspendSelf(_ syscall.Signal, group bool) *suspension {
	target := syscall.Getpid()
	if group {
		target = 0
	}
	_ = syscall.Kill(target, syscall.SIGSTOP)
	return &suspension{}
}

func (*suspension) end() {}
