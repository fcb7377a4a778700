package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/svidhelper/svidhelper/supervisor"
)

// become runs a command and waits for it: Windows cannot replace a process.
func become(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exited *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exited):
		return &supervisor.ExitError{Code: exited.ExitCode()}
	case errors.Is(err, exec.ErrNotFound):
		return &supervisor.ExitError{Code: 127, Err: fmt.Errorf("executing %q: %w", argv[0], err)}
	default:
		return &supervisor.ExitError{Code: 126, Err: fmt.Errorf("executing %q: %w", argv[0], err)}
	}
}
