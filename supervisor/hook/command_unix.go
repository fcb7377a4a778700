//go:build unix

package hook

import (
	"os/exec"
	"syscall"
)

// ownGroup gives the command a process group of its own, so that it can be
// ended with everything that it started.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// killGroup ends the command's process group, and the command itself if it has
// moved to another one. The group's number is not given to another group while
// the command has not been waited for, or a member lives.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Process.Kill()
}
