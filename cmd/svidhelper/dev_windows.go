package main

import (
	"errors"
	"os/exec"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/supervisor"
)

// rotateOnSignal does nothing: Windows has no signal for it.
func rotateOnSignal(*devapi.Server) (stop func()) { return func() {} }

// exitStatusOf turns what exec.Cmd.Wait returned into an exit status.
func exitStatusOf(err error) error {
	var exited *exec.ExitError
	if !errors.As(err, &exited) {
		return err
	}
	return &supervisor.ExitError{Code: exited.ExitCode()}
}
