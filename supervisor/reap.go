package supervisor

import (
	"github.com/svidhelper/svidhelper/supervisor/internal/child"
)

// ReapOrphans reaps the orphans that this process inherits until stop is called,
// if it is the first process (PID 1) or a subreaper. A Supervisor does it by
// itself while it runs; this is for a helper that has no process. It does
// nothing but on Linux.
func ReapOrphans() (stop func()) { return child.ReapOrphans() }

// ProtectMemory keeps the helper's memory, private keys included, out of core
// dumps and from other processes of its user, where the process does not notice:
// on Linux.
func ProtectMemory() error { return child.ProtectMemory() }
