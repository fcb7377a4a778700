package child

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sigaction is the kernel's, which begins with the handler. The rest is zero.
type sigaction [8]uintptr

// The kernel reads the actions where they are, so they are not on a stack, which
// the runtime may move.
var (
	byDefault = sigaction{0} // SIG_DFL
	ignored   = sigaction{1} // SIG_IGN
	now       sigaction      // for deadly alone, which runs once
)

// deadly are the signals that the Go runtime leaves to libc, and about which
// signal.Notify and signal.Ignore do nothing, unless the helper was started with
// them ignored: 32 to 34, but for one that the runtime uses itself.
var deadly = sync.OnceValue(func() (sigs []uintptr) {
	for sig := uintptr(32); sig <= 34; sig++ {
		if changeAction(sig, nil, &now); now[0] == byDefault[0] {
			sigs = append(sigs, sig)
		}
	}
	return sigs
})

func ignoreDeadly(yes bool) {
	action := &byDefault
	if yes {
		action = &ignored
	}
	for _, sig := range deadly() {
		changeAction(sig, action, nil)
	}
}

func changeAction(sig uintptr, to, from *sigaction) {
	// The last argument is the size of the kernel's set of signals.
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(from)), 8, 0, 0)
}
