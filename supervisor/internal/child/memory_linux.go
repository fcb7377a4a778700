package child

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

var protected atomic.Bool

// ProtectMemory keeps the helper's memory, private keys included, out of core
// dumps and from other processes of its user. It leaves no trace on the
// process, whose exec makes it dumpable again; a limit on the size of core
// dumps would be inherited, and does not stop those that are piped to a
// collector.
func ProtectMemory() error {
	protected.Store(true)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("turn off core dumps: %w", err)
	}
	return nil
}

// Reprotect follows a change of credentials in any thread of the helper, or in a
// child that shares its memory. The kernel then makes the memory as dumpable as
// fs.suid_dumpable says (prctl(2), PR_SET_DUMPABLE).
func Reprotect() {
	if protected.Load() {
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // it worked before
	}
}
