package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// setDeathSignal makes sys end the process when the thread that forks it ends:
// see child.Spawn. The stop signal, not SIGKILL, so that a master takes its workers
// with it.
func setDeathSignal(sys *syscall.SysProcAttr, sig syscall.Signal) { sys.Pdeathsig = sig }

// limitThread takes from the calling thread what the process is not to have.
func (spec *Spec) limitThread() error {
	if !spec.NoNewPrivs {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return nil
}

func (spec *Spec) checkHost() error {
	if _, err := spec.credential(); err != nil {
		return err
	}
	_, err := spec.files()
	return err
}

// groupLives reports whether anything of a process group still runs. What has
// ended and is not reaped yet holds no port and no file, and many a PID 1 takes
// seconds to reap it, or never does.
func groupLives(pgid int) bool {
	if syscall.Kill(-pgid, 0) != nil {
		return false
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return true
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if self, _ := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return true // that of another PID namespace, if any
	}
	group := strconv.Itoa(pgid)
	for _, name := range names {
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // no process, or gone meanwhile
		}
		// After the name, which may hold anything: state, parent, group (proc(5)).
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 2 && string(fields[2]) == group && !bytes.ContainsAny(fields[0], "ZX") {
			return true
		}
	}
	return false
}
