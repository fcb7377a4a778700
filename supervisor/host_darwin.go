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
