package supervisor

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"golang.org/x/sys/unix"
)

// The kernel forgets the parent-death signal when a process gains rights by
// executing a file: one that is setuid or setgid to another user, or has
// capabilities (setcap cap_net_bind_service+ep nginx). Such a process gets a
// guard: this binary under another name, which holds the end of a pipe from the
// helper and a handle on the process. When the helper dies the pipe ends, and the
// guard sends what the kernel would have sent.

// guardian is argv[0] of this binary when it is to guard a process.
const guardian = "svidhelper: guard"

// The guard's descriptors.
const (
	guardPipe    = 3
	guardProcess = 4
)

// startGuarded starts a process that needs a guard by begin, with attr. It is held
// at a gate, as one that ends with the helper, until the guard stands. The
// caller calls unguard when it has waited for the process.
func startGuarded(spec *Spec, path string, attr *syscall.ProcAttr, begin func(path string, argv []string) (int, error)) (pid int, unguard func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer r.Close()
	defer w.Close()
	attr.Files = append(attr.Files, r.Fd())
	pid, err = begin(adopting(path, spec.Command, len(attr.Files)-1))
	if err != nil {
		return 0, nil, err
	}
	unguard, err = guard(pid, spec.stopSignal())
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		child.Release(pid)
		return 0, nil, fmt.Errorf("guard the process against the helper's death: %w", err)
	}
	_, _ = w.Write([]byte{0}) // we have its other end, too
	return pid, unguard, nil
}

// guard makes sure that the process pid, a child of ours, gets sig when the helper
// dies, until end is called.
func guard(pid int, sig syscall.Signal) (end func(), err error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, err
	}
	process := os.NewFile(uintptr(fd), "pidfd")
	defer process.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{guardian, strconv.Itoa(int(sig))}
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{r, process}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal's signals
	if err := child.Start(cmd); err != nil {
		w.Close()
		return nil, err
	}
	// It may end early, and must not stand in the reaper's way then.
	go func() { _ = child.Wait(cmd) }()
	return func() { w.Close() }, nil
}

// init is where the binary finds itself to be the guard, before anything else of
// the program runs.
func init() {
	if len(os.Args) != 2 || os.Args[0] != guardian {
		return
	}
	sig, err := strconv.Atoi(os.Args[1])
	if err == nil {
		_, _ = io.Copy(io.Discard, os.NewFile(guardPipe, "pipe")) // nothing is ever written
		err = unix.PidfdSendSignal(guardProcess, syscall.Signal(sig), nil, 0)
	}
	if err != nil && err != unix.ESRCH {
		fmt.Fprintln(os.Stderr, "svidhelper: the process outlives the helper:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// gains reports whether a process with those credentials, nil for the helper's
// own, gains rights by executing the file, and nothing else sees to its end.
func gains(path string, cred *syscall.Credential) bool {
	if os.Getpid() == 1 {
		return false // with us go all of them
	}
	own, err := os.Stat("/proc/self/exe")
	if err != nil || cred != nil && own.Mode()&0o001 == 0 {
		return false // the binary cannot be executed as the guard, or to wait for it
	}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	if cred != nil {
		uid, gid = cred.Uid, cred.Gid
	}
	info, err := os.Stat(path)
	if err != nil {
		return false // then it cannot be executed either
	}
	owner := info.Sys().(*syscall.Stat_t)
	size, err := unix.Getxattr(path, "security.capability", nil)
	return cmp.Or(
		info.Mode()&fs.ModeSetuid != 0 && owner.Uid != uid,
		info.Mode()&fs.ModeSetgid != 0 && owner.Gid != gid,
		err == nil && size > 0 && uid != 0,
	)
}
