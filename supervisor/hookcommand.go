package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	defaultHookTimeout = 30 * time.Second
	// hookWaitDelay is how long we go on reading the output of a command that
	// has ended but left somebody behind who holds its pipes.
	hookWaitDelay = 50 * time.Millisecond
	// hookReapTime bounds the wait for a command that was killed: one that
	// hangs inside the kernel does not even die of SIGKILL.
	hookReapTime = 200 * time.Millisecond
)

// A hookCommand runs a command for each notification.
type hookCommand struct {
	argv    []string
	timeout time.Duration
	again   int
	log     *slog.Logger
}

func newHookCommand(spec HookSpec, log *slog.Logger) (hookTarget, error) {
	if spec.Command[0] == "" {
		return nil, errors.New("the command's name is empty")
	}
	if spec.Signal != 0 {
		return nil, errors.New("a command gets no signal; name a pid file or a process")
	}
	c := &hookCommand{
		argv:    slices.Clone(spec.Command),
		timeout: spec.Timeout,
		again:   spec.Retries,
		log:     log,
	}
	if c.timeout == 0 {
		c.timeout = defaultHookTimeout
	}
	return c, nil
}

func (c *hookCommand) retries() int                   { return c.again }
func (c *hookCommand) watch() bool                    { return false }
func (c *hookCommand) settle()                        {}
func (c *hookCommand) changes() <-chan fsnotify.Event { return nil }
func (c *hookCommand) concerns(fsnotify.Event) bool   { return false }

// notify runs the command. Its process group ends with the timeout and with
// ctx; whom a command that succeeded left in the background lives on.
func (c *hookCommand) notify(ctx context.Context, n Notice) error {
	out := &hookOutput{log: c.log}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env = append(os.Environ(), n.environ()...)
	cmd.Stdin = bytes.NewReader(line(n.Event))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = hookWaitDelay
	ownGroup(cmd)

	began := time.Now()
	if err := startCommand(cmd); err != nil {
		return fmt.Errorf("start command: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- waitCommand(cmd) }()

	timeout := time.NewTimer(c.timeout)
	defer timeout.Stop()
	var err error
	select {
	case err = <-ended:
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil // it succeeded, and left somebody behind
		}
	case <-timeout.C:
		err = fmt.Errorf("killed after its timeout of %v", c.timeout)
		if !killed(cmd, ended) {
			return fmt.Errorf("command %q: %w; it does not die", c.argv[0], err)
		}
	case <-ctx.Done():
		killed(cmd, ended)
		return ctx.Err()
	}
	out.flush()
	if err != nil {
		return fmt.Errorf("command %q: %w%s", c.argv[0], err, out.hint())
	}
	c.log.Info("hook command succeeded", "command", c.argv[0], "took", time.Since(began))
	return nil
}

// killed ends the command's process group and reports whether the command is
// gone.
func killed(cmd *exec.Cmd, ended <-chan error) bool {
	killGroup(cmd)
	select {
	case <-ended:
		return true
	case <-time.After(hookReapTime):
		return false
	}
}
