package supervisor

import (
	"syscall"
	"testing"
	"time"
)

// awaitGone waits until pid is nobody's.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			return
		}
	}
	t.Fatalf("process %d lives on", pid)
}
