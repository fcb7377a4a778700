package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
)

const (
	defaultTimeout = 30 * time.Second
	// waitDelay is how long we go on reading the output of a command that has
	// ended but left a process behind that holds its pipes.
	waitDelay = 500 * time.Millisecond
	// reapTime bounds the wait for a command that was killed: one that
	// hangs inside the kernel does not even die of SIGKILL.
	reapTime = 200 * time.Millisecond
)

// A command runs a command for each notification.
type command struct {
	argv    []string
	timeout time.Duration
	again   int
	log     *slog.Logger
}

func newCommand(spec Spec, log *slog.Logger) (target, error) {
	if spec.Command[0] == "" {
		return nil, errors.New("the command's name is empty")
	}
	if spec.Signal != 0 {
		return nil, errors.New("a command gets no signal; name a pid file or a process")
	}
	c := &command{
		argv:    slices.Clone(spec.Command),
		timeout: spec.Timeout,
		again:   spec.Retries,
		log:     log,
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	return c, nil
}

func (c *command) retries() int { return c.again }

// notify runs the command. Its process group ends with the timeout and with
// ctx; what a command that succeeded left in the background lives on.
func (c *command) notify(ctx context.Context, n Notice, _ bool) error {
	out := &output{log: c.log}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var cmd *exec.Cmd
	_, err := child.Reach(bounded, func() (string, error) {
		cmd = exec.Command(c.argv[0], c.argv[1:]...)
		return cmd.Path, cmd.Err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("command %q cannot be read from its file system within %v", c.argv[0], c.timeout)
	}
	if err != nil {
		return fmt.Errorf("start command: %w", err)
	}
	cmd.Env = append(child.Environ(), n.environ()...)
	cmd.Stdin = bytes.NewReader(line(n.Event))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = waitDelay
	ownGroup(cmd)
	if err := child.Start(cmd); err != nil {
		return fmt.Errorf("start command: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait(cmd) }()
	select {
	case err = <-ended:
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil // it succeeded, and a process that it has started holds its pipes
		}
	case <-bounded.Done():
		gone := killed(cmd, ended)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err = fmt.Errorf("killed after its timeout of %v", c.timeout)
		if !gone {
			return fmt.Errorf("command %q: %w; it does not die", c.argv[0], err)
		}
	}
	out.flush()
	if err != nil {
		return fmt.Errorf("command %q: %w%s", c.argv[0], err, out.hint())
	}
	c.log.Info("hook command succeeded", "command", child.Argv(c.argv), "took", time.Since(began))
	return nil
}

// killed ends the command's process group and reports whether the command is
// gone.
func killed(cmd *exec.Cmd, ended <-chan error) bool {
	killGroup(cmd)
	select {
	case <-ended:
		return true
	case <-time.After(reapTime):
		return false
	}
}
