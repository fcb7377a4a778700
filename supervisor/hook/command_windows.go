package hook

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the console's Ctrl-C away from the command: it ends with us,
// not beside us.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// killGroup ends the command; what it started is not ended with it on Windows.
func killGroup(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
}
