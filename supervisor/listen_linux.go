package supervisor

import (
	"os"
	"slices"
	"strconv"
)

const firstListenFD = 3

// listenFDs returns the descriptors that systemd has passed to the helper, and
// that are for the process: the helper itself listens on none of them.
func listenFDs() []int {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return nil
	}
	var fds []int
	for fd := firstListenFD; fd < firstListenFD+n && slices.Contains(inherited(), fd); fd++ {
		fds = append(fds, fd)
	}
	return fds
}
