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

// A Command is a program and its arguments; nothing goes through a shell.
type Command struct {
	Argv []string
	// Timeout bounds one run; 0 means 30 s.
	Timeout time.Duration
	// Log gets what it writes, bounded, and how long it took.
	Log *slog.Logger
}

// A commandTarget runs its command for each notification.
type commandTarget struct {
	Command
	again int
}

func newCommand(spec Spec, log *slog.Logger) (target, error) {
	if spec.Command[0] == "" {
		return nil, errors.New("the command's name is empty")
	}
	if spec.Signal != 0 {
		return nil, errors.New("a command gets no signal; name a pid file or a process")
	}
	return &commandTarget{Command{slices.Clone(spec.Command), spec.Timeout, log}, spec.Retries}, nil
}

func (t *commandTarget) retries() int { return t.again }

func (t *commandTarget) notify(ctx context.Context, n Notice, _ bool) error { return t.Run(ctx, n) }

// Run runs the command once, with what a notice says in its environment and on its
// standard input. Its process group ends with the timeout and with ctx; what a command
// that succeeded left in the background lives on. The error is that of ctx if that was
// cancelled; else it has the last line that the command wrote, if it wrote any.
func (c Command) Run(ctx context.Context, n Notice) error {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	out := &output{log: c.Log}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var cmd *exec.Cmd
	_, err := child.Reach(bounded, func() (string, error) {
		cmd = exec.Command(c.Argv[0], c.Argv[1:]...)
		return cmd.Path, cmd.Err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("command %q cannot be read from its file system within %v", c.Argv[0], c.Timeout)
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
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		err = fmt.Errorf("killed after its timeout of %v", c.Timeout)
		if !gone {
			return fmt.Errorf("command %q: %w; it does not die", c.Argv[0], err)
		}
	}
	out.flush()
	if err != nil {
		return fmt.Errorf("command %q: %w%s", c.Argv[0], err, out.hint())
	}
	c.Log.Info("hook command succeeded", "command", child.Argv(c.Argv), "took", time.Since(began))
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
