//go:build linux || darwin

package child

import (
	"os"
	"os/signal"
	"syscall"
)

// ttouIgnored says that SIGTTOU is ignored in the helper, but not in what it
// starts. It is guarded by children's lock, as is deadlyIgnored.
var ttouIgnored, deadlyIgnored bool

// IgnoreTTOU makes the helper ignore SIGTTOU, or not. In the background of its
// own terminal it still writes its log there, and takes the terminal back.
// (A handler would not do: the kernel sends the signal again and again.)
func IgnoreTTOU(yes bool) {
	children.Lock()
	defer children.Unlock()
	ttouIgnored = yes
	switch {
	case !yes:
		signal.Reset(syscall.SIGTTOU)
	case children.forks == 0: // else the end of a fork does it
		signal.Ignore(syscall.SIGTTOU)
	}
}

// IgnoreDeadly makes the helper live through the signals that the Go runtime
// never handles, and that end a process by default.
func IgnoreDeadly() {
	children.Lock()
	defer children.Unlock()
	deadlyIgnored = true
	if children.forks == 0 { // else the end of a fork does it
		ignoreDeadly(true)
	}
}

// ignoreOwn ignores the signals that only the helper is to ignore, or ignores
// them no longer.
func ignoreOwn(yes bool) {
	switch {
	case ttouIgnored && yes:
		signal.Ignore(syscall.SIGTTOU)
	case ttouIgnored:
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTTOU)
	}
	if deadlyIgnored {
		ignoreDeadly(yes)
	}
}
