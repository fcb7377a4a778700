package supervisor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Some things can only be done in the process itself, before it becomes the
// command. systemd's socket activation (sd_listen_fds) says for which process the
// descriptors are: LISTEN_PID, which is not known before it runs. And one that
// needs a guard must not become what it guards against before the guard stands.
// Then the helper executes its own binary under the name of adopter, and that
// executes the command.

// adopter is argv[0] of this binary when it is to become the command.
const adopter = "svidhelper: adopt"

// noGate is instead of the descriptor behind which the process waits.
const noGate = -1

// adopting returns what to execute so that path, with argv, is executed as the
// process that LISTEN_PID names, and once something comes out of gate.
func adopting(path string, argv []string, gate int) (string, []string) {
	listens := len(listenFDs()) > 0
	if !listens && gate == noGate {
		return path, argv
	}
	own := []string{adopter, strconv.FormatBool(listens), strconv.Itoa(gate), path}
	return "/proc/self/exe", append(own, argv...)
}

// init is where the binary finds itself to be the adopter, before anything else
// of the program runs.
func init() {
	if len(os.Args) < 5 || os.Args[0] != adopter {
		return
	}
	listens, gate, path, argv := os.Args[1] == "true", os.Args[2], os.Args[3], os.Args[4:]
	if fd, _ := strconv.Atoi(gate); fd > 0 {
		if n, _ := syscall.Read(fd, make([]byte, 1)); n != 1 {
			os.Exit(1) // the helper is gone, or will say why
		}
		syscall.CloseOnExec(fd)
	}
	env := os.Environ()
	for i, kv := range env {
		if listens && strings.HasPrefix(kv, "LISTEN_PID=") {
			env[i] = "LISTEN_PID=" + strconv.Itoa(os.Getpid())
		}
	}
	err := startError(argv[0], syscall.Exec(path, argv, env))
	fmt.Fprintln(os.Stderr, "svidhelper:", err)
	os.Exit(err.Code)
}
