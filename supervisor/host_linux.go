package supervisor

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
)

// setDeathSignal makes sys end the process when the thread that forks it ends:
// see spawn. The stop signal, not SIGKILL, so that a master takes its workers
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

// reap reaps orphans until stop is called, if there are any to inherit; a Spec
// can ask for them.
func (spec *Spec) reap() (stop func()) {
	if spec.Subreaper {
		// It cannot fail since Linux 3.4.
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	return child.ReapOrphans()
}
