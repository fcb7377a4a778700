package supervisor

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// awaitGone waits until pid is nobody's.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // gone already
	}
	defer unix.Close(fd)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		n, err := unix.Poll(fds, 1000)
		if n == 1 || err != nil && err != unix.EINTR {
			return
		}
	}
	t.Fatalf("process %d lives on", pid)
}
