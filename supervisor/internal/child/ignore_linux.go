package child

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sigaction is the kernel's, which begins with the handler. The rest is zero.
type sigaction [8]uintptr

const (
	byDefault = 0 // SIG_DFL
	ignored   = 1 // SIG_IGN
)

// deadly are the signals that the Go runtime leaves to libc, and about which
// signal.Notify and signal.Ignore do nothing, unless the helper was started with
// them ignored: 32 to 34, but for one that the runtime uses itself.
var deadly = sync.OnceValue(func() (sigs []uintptr) {
	for sig := uintptr(32); sig <= 34; sig++ {
		var now sigaction
		if setAction(sig, nil, &now); now[0] == byDefault {
			sigs = append(sigs, sig)
		}
	}
	return sigs
})

func ignoreDeadly(yes bool) {
	action := sigaction{byDefault}
	if yes {
		action[0] = ignored
	}
	for _, sig := range deadly() {
		setAction(sig, &action, nil)
	}
}

func setAction(sig uintptr, to, from *sigaction) {
	// The last argument is the size of the kernel's set of signals.
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(from)), 8, 0, 0)
}
