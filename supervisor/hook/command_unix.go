//go:build unix

package hook

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// ownGroup gives the command a process group of its own, so that it can be
// ended with everything that it started.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// killGroup ends the command's process group, and the command itself if it has
// moved to another one. The group's number is not given to anybody else while
// the command has not been waited for, or a member lives.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Process.Kill()
}

// pipeSize is what a pipe holds, in bytes.
const pipeSize = 64 << 10

// drain reads what is in a pipe whose writer has ended, and does not wait for
// more. Others may go on writing: no more is read than a pipe holds.
func drain(r *os.File, out io.Writer) {
	conn, err := r.SyscallConn()
	if err != nil || r.SetReadDeadline(time.Time{}) != nil {
		return
	}
	buf := make([]byte, pipeSize)
	_ = conn.Read(func(fd uintptr) bool {
		for left := pipeSize; left > 0; {
			n, err := syscall.Read(int(fd), buf[:left])
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			if err != nil || n <= 0 {
				break
			}
			_, _ = out.Write(buf[:n])
			left -= n
		}
		return true
	})
}
