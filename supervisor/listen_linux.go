package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// systemd's socket activation (sd_listen_fds) passes descriptors from 3 on, and
// says for which process they are: LISTEN_PID. The process's pid is not known
// before it runs, so it sets the variable itself: the helper executes its own
// binary under the name of adopter, and that executes the command.

// adopter is argv[0] of this binary when it is to adopt the descriptors.
const adopter = "svidhelper: adopt LISTEN_FDS"

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

// adopting returns what to execute so that path, with argv, is executed as the
// process that LISTEN_PID names.
func adopting(path string, argv []string) (string, []string) {
	if len(listenFDs()) == 0 {
		return path, argv
	}
	return "/proc/self/exe", append([]string{adopter, path}, argv...)
}

// init is where the binary finds itself to be the adopter, before anything else
// of the program runs.
func init() {
	if len(os.Args) < 3 || os.Args[0] != adopter {
		return
	}
	path, argv := os.Args[1], os.Args[2:]
	env := os.Environ()
	for i, kv := range env {
		if strings.HasPrefix(kv, "LISTEN_PID=") {
			env[i] = "LISTEN_PID=" + strconv.Itoa(os.Getpid())
		}
	}
	err := startError(argv[0], syscall.Exec(path, argv, env))
	fmt.Fprintln(os.Stderr, "svidhelper:", err)
	os.Exit(err.Code)
}
