//go:build linux || darwin

package child

import (
	"os"
	"os/signal"
	"syscall"
)

// ttouIgnored says that SIGTTOU is ignored in the helper, but not in what it
// starts. It is guarded by children's lock.
var ttouIgnored bool

// IgnoreTTOU makes the helper ignore SIGTTOU, or not. In the background of its
// own terminal it still writes its log there, and takes the terminal back.
// (A handler would not do: the kernel sends the signal again and again.)
func IgnoreTTOU(yes bool) {
	children.Lock()
	defer children.Unlock()
	ttouIgnored = yes
	if yes {
		signal.Ignore(syscall.SIGTTOU)
	} else {
		signal.Reset(syscall.SIGTTOU)
	}
}

// inheriting calls fork in such a way that the child ignores nothing that only
// the helper wants ignored: what is caught becomes the default by exec, what is
// ignored stays so.
func inheriting(fork func() (int, error)) (int, error) {
	if ttouIgnored {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTTOU)
		defer signal.Ignore(syscall.SIGTTOU)
	}
	return fork()
}
