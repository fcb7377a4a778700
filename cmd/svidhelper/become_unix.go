//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"github.com/svidhelper/svidhelper/supervisor"
)

// become executes a command in our place: same pid, same descriptors, same
// environment. It returns only when that fails, with the exit code that a shell
// would use.
func become(argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err == nil {
		err = syscall.Exec(path, argv, os.Environ())
	}
	code := 126
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = 127
	}
	return &supervisor.ExitError{Code: code, Err: fmt.Errorf("executing %q: %w", argv[0], err)}
}
