package supervisor

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
	"golang.org/x/sys/windows"
)

// A windowsHost runs processes in console groups of their own.
type windowsHost struct {
	changes chan os.Signal // any value: look at the process
}

func newHost() host { return &windowsHost{make(chan os.Signal, 1)} }

func (h *windowsHost) open(*Spec) (changes, jobs <-chan os.Signal, shut func()) {
	return h.changes, nil, func() {}
}

func (h *windowsHost) suspend(process, syscall.Signal) {}
func (h *windowsHost) resume(process) bool             { return false }

func (h *windowsHost) start(_ context.Context, spec *Spec) (process, error) {
	path, err := spec.lookPath()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: path, Args: spec.Command, Dir: spec.Dir, Env: spec.environ(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP},
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &windowsProcess{cmd: cmd, ended: make(chan Exit, 1)}
	go func() {
		_ = cmd.Wait() // its status says it all
		p.ended <- Exit{At: time.Now(), Code: cmd.ProcessState.ExitCode()}
		select {
		case h.changes <- os.Interrupt:
		default:
		}
	}()
	return p, nil
}

type windowsProcess struct {
	cmd   *exec.Cmd
	ended chan Exit
}

func (p *windowsProcess) id() int { return p.cmd.Process.Pid }

func (p *windowsProcess) poll(time.Time) change {
	select {
	case exit := <-p.ended:
		return change{exit: &exit}
	default:
		return change{}
	}
}

// send is Ctrl-Break for a signal that means the end, which is all there is. A
// process without a console is terminated.
func (p *windowsProcess) send(syscall.Signal) error {
	err := windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(p.id()))
	if err != nil {
		return p.kill()
	}
	return nil
}

func (p *windowsProcess) kill() error {
	err := p.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (p *windowsProcess) proceed() {} // nothing stops it

func (p *windowsProcess) handling(syscall.Signal) signals.Handling { return signals.Unseen }

func (spec *Spec) checkHost() error {
	switch {
	case spec.User != "" || spec.Group != "":
		return errors.New("user and group of a process cannot be set on Windows")
	case spec.NoNewPrivs || spec.Subreaper:
		return errors.New("no_new_privs and subreaper: only Linux has them")
	case len(spec.PassFDs) > 0:
		return errors.New("descriptors cannot be passed on on Windows")
	}
	return nil
}

func (spec *Spec) lookPath() (string, error) { return exec.LookPath(spec.Command[0]) }

func sameVariable(a, b string) bool { return strings.EqualFold(a, b) }
