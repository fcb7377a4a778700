package child

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ProtectMemory keeps the helper's memory, private keys included, out of core
// dumps and from other processes of its user. It leaves no trace on the
// process, whose exec makes it dumpable again; a limit on the size of core
// dumps would be inherited, and does not stop those that are piped to a
// collector.
func ProtectMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("turn off core dumps: %w", err)
	}
	return nil
}
