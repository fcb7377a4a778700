package supervisor

import (
	"fmt"
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
