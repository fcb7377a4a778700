package supervisor

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A suspension is a time in which the helper is stopped.
type suspension struct {
	sig    syscall.Signal
	action [64]byte // the kernel's struct sigaction, as it was
}

// suspendSelf stops the helper with sig, and its whole group if a shell
// watches: the others of a pipeline would have been stopped by the terminal.
//
// The signal has to have its default action for that. The Go runtime leaves a
// handler in place even after signal.Reset, hence the system call.
func suspendSelf(sig syscall.Signal, group bool) *suspension {
	s := &suspension{sig: sig}
	var byDefault [64]byte
	s.sigaction(nil, &s.action)
	s.sigaction(&byDefault, nil)
	target := unix.Getpid()
	if group {
		target = 0
	}
	_ = syscall.Kill(target, sig)
	return s
}

// end puts the handler back.
func (s *suspension) end() { s.sigaction(&s.action, nil) }

func (s *suspension) sigaction(to, from *[64]byte) {
	// The size is that of the kernel's signal set. SIGSTOP has no action.
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s.sig),
		uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(from)), 8, 0, 0)
}
