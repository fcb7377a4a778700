package supervisor

import (
	"errors"
	"syscall"
)

func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}

func (*Spec) limitThread() error { return nil }

func (spec *Spec) checkHost() error {
	if spec.NoNewPrivs {
		return errors.New("no_new_privs: only Linux has it")
	}
	if spec.Subreaper {
		return errors.New("subreaper: only Linux has it")
	}
	if _, err := spec.credential(); err != nil {
		return err
	}
	_, err := spec.files()
	return err
}

func listenFDs() []int { return nil } // systemd's

// groupLives reports whether anything of a process group is left.
func groupLives(pgid int) bool { return syscall.Kill(-pgid, 0) == nil }

const noGate = -1

func adopting(path string, argv []string, _ int) (string, []string) { return path, argv }

// A guard is for a kernel that has a parent-death signal to forget.

func gains(string, *syscall.Credential) bool { return false }

func startGuarded(*Spec, string, *syscall.ProcAttr, func(string, []string) (int, error)) (int, func(), error) {
	panic("supervisor: no guard on this system")
}
