package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"github.com/svidhelper/svidhelper/supervisor/internal/splay"
)

// prepare checks the Spec and fills in what its zero values mean.
func (spec *Spec) prepare() error {
	if len(spec.Command) == 0 || spec.Command[0] == "" {
		return errors.New("process has no command")
	}
	spec.Command = slices.Clone(spec.Command)
	spec.Env = slices.Clone(spec.Env)
	spec.PassFDs = slices.Clone(spec.PassFDs)
	spec.SignalRewrite = maps.Clone(spec.SignalRewrite)
	return cmp.Or(
		spec.checkPolicy(),
		spec.checkSignals(),
		spec.checkEnv(),
		spec.checkDir(),
		spec.checkCommand(),
		spec.checkHost(),
	)
}

func (spec *Spec) checkPolicy() error {
	if on := spec.OnRotation; on.Action == RotationSignal && on.Signal == 0 {
		return errors.New(`on_rotation is not chosen: a signal such as "SIGHUP", "restart" or "none"`)
	}
	switch spec.Restart {
	case RestartNever, RestartOnFailure, RestartAlways, RestartOnRotation:
	case "never":
		spec.Restart = RestartNever
	default:
		return fmt.Errorf("restart policy %q is none of %q, %q, %q, %q", spec.Restart,
			"never", RestartOnFailure, RestartAlways, RestartOnRotation)
	}
	for name, d := range map[string]time.Duration{
		"splay":          spec.Splay,
		"min_interval":   spec.MinInterval,
		"restart_window": spec.RestartWindow,
		"stop_timeout":   spec.StopTimeout,
	} {
		if d < 0 {
			return fmt.Errorf("%s is negative: %v", name, d)
		}
	}
	if spec.MaxRestarts < 0 {
		return fmt.Errorf("max_restarts is negative: %d", spec.MaxRestarts)
	}
	return nil
}

func (spec *Spec) checkEnv() error {
	for _, kv := range spec.Env {
		name, _, is := strings.Cut(kv, "=")
		if !is || name == "" || strings.Contains(kv, "\x00") {
			return fmt.Errorf("environment variable %q is not of the form NAME=value", name)
		}
	}
	return nil
}

func (spec *Spec) checkDir() error {
	if spec.Dir == "" {
		return nil
	}
	info, err := os.Stat(spec.Dir)
	if err != nil {
		return fmt.Errorf("process directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("process directory %s is not a directory", spec.Dir)
	}
	// What is relative to it is so in the process, too, which is there already.
	spec.Dir, err = filepath.Abs(spec.Dir)
	return err
}

func (spec *Spec) checkCommand() error {
	_, err := spec.lookPath()
	if err != nil && spec.Restart != RestartOnRotation { // that one may come with a later rotation
		return startError(spec.Command[0], err)
	}
	return nil
}

// startError is a process that could not be executed, in the shell's terms.
func startError(command string, err error) *ExitError {
	if errors.Is(err, fs.ErrNotExist) {
		return &ExitError{Code: 127, Err: fmt.Errorf("command %q not found: %w; give its full path or set PATH", command, err)}
	}
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		hint = "; a script needs a first line such as #!/bin/sh"
	case errors.Is(err, fs.ErrPermission):
		hint = "; check its mode and its directories', and that the helper may change to the process's user"
	}
	return &ExitError{Code: 126, Err: fmt.Errorf("command %q cannot be executed: %w%s", command, err, hint)}
}

// environ returns the process's environment: the helper's own, without what
// systemd means for the helper alone (NOTIFY_SOCKET, WATCHDOG_USEC), with Env's
// variables in place of those of the same name, or at the end.
func (spec *Spec) environ() []string {
	env := child.Environ()
	for _, kv := range spec.Env {
		name, _, _ := strings.Cut(kv, "=")
		i := slices.IndexFunc(env, func(have string) bool {
			n, _, _ := strings.Cut(have, "=")
			return sameVariable(n, name)
		})
		if i >= 0 {
			env[i] = kv
		} else {
			env = append(env, kv)
		}
	}
	return env
}

// variable returns a variable of the process's environment.
func (spec *Spec) variable(name string) string {
	for _, kv := range slices.Backward(spec.environ()) {
		if n, value, _ := strings.Cut(kv, "="); sameVariable(n, name) {
			return value
		}
	}
	return ""
}

// stopSignal is what asks the process to end.
func (spec *Spec) stopSignal() syscall.Signal {
	return cmp.Or(spec.StopSignal, spec.SignalRewrite[syscall.SIGTERM], syscall.SIGTERM)
}

// splayDelay is this process's share of the splay.
func (spec *Spec) splayDelay() time.Duration {
	return splay.Delay(splay.Identity(strings.Join(spec.Command, "\x00")), spec.Splay)
}
