//go:build linux || darwin

package supervisor

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// A unixHost runs processes with fork, exec and wait.
type unixHost struct {
	spec *Spec
	term *terminal
}

func newHost(spec *Spec) host { return &unixHost{spec: spec, term: &terminal{}} }

func (h *unixHost) open() (changes, jobs <-chan os.Signal, shut func()) {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	// A broken pipe behind stderr is no reason to die; nobody reads this.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	stops := make(chan os.Signal, 8)
	h.term.open(stops)
	stopReaping := h.spec.reap()
	return children, stops, func() {
		stopReaping()
		h.term.close(stops)
		signal.Stop(pipes)
		signal.Stop(children)
	}
}

func (h *unixHost) start() (process, error) {
	path, err := h.spec.lookPath()
	if err != nil {
		return nil, err
	}
	attr, err := h.spec.procAttr()
	if err != nil {
		return nil, err
	}
	foreground := h.term.offer(attr.Sys)
	begin := func(path string, argv []string) (int, error) {
		return child.Spawn(func() (int, error) {
			if err := h.spec.limitThread(); err != nil {
				return 0, err
			}
			return syscall.ForkExec(path, argv, attr)
		})
	}
	p := &unixProcess{group: h.spec.SignalGroup, term: h.term, unguard: func() {}}
	if gains(h.spec.inDir(path), attr.Sys.Credential) {
		p.pid, p.unguard, err = startGuarded(h.spec, path, attr, begin)
	} else {
		p.pid, err = begin(adopting(path, h.spec.Command, noGate))
	}
	if foreground {
		h.term.taken(p.pid, err)
	}
	if err != nil {
		return nil, err
	}
	p.shown = signals.Open(p.pid)
	return p, nil
}

// procAttr is how the process is to be started: in a process group of its own,
// on the helper's descriptors.
func (spec *Spec) procAttr() (*syscall.ProcAttr, error) {
	files, err := spec.files()
	if err != nil {
		return nil, err
	}
	cred, err := spec.credential()
	if err != nil {
		return nil, err
	}
	sys := &syscall.SysProcAttr{Setpgid: true, Credential: cred}
	setDeathSignal(sys, spec.stopSignal())
	return &syscall.ProcAttr{Dir: spec.Dir, Env: spec.environ(), Files: files, Sys: sys}, nil
}

func (h *unixHost) suspend(p process, sig syscall.Signal) {
	if up, is := p.(*unixProcess); is {
		h.term.suspend(up.pid, sig)
	} else {
		h.term.suspend(0, sig)
	}
}

func (h *unixHost) resume(p process) bool {
	if up, is := p.(*unixProcess); is {
		return h.term.resume(up.pid)
	}
	return h.term.resume(0)
}

// A unixProcess is a child. Only poll reaps it, so that between two polls its
// pid, and its group's number, are nobody else's.
type unixProcess struct {
	pid   int
	group bool
	term  *terminal
	shown *signals.Process

	unguard func() // called once, when it is gone
}

func (p *unixProcess) id() int { return p.pid }

func (p *unixProcess) handling(sig syscall.Signal) signals.Handling { return p.shown.Handling(sig) }

func (p *unixProcess) poll(now time.Time) change {
	var ws syscall.WaitStatus
	pid, err := syscall.Wait4(p.pid, &ws, syscall.WNOHANG|syscall.WUNTRACED, nil)
	for err == syscall.EINTR {
		pid, err = syscall.Wait4(p.pid, &ws, syscall.WNOHANG|syscall.WUNTRACED, nil)
	}
	switch {
	case err != nil: // ECHILD: somebody else has its status, which nobody should
		p.gone()
		return change{exit: &Exit{At: now, Code: 1}}
	case pid != p.pid:
		return change{}
	case ws.Stopped():
		return change{stopped: ws.StopSignal()}
	case ws.Signaled():
		p.gone()
		return change{exit: &Exit{At: now, Signal: ws.Signal()}}
	default:
		p.gone()
		return change{exit: &Exit{At: now, Code: ws.ExitStatus()}}
	}
}

func (p *unixProcess) gone() {
	p.term.back()
	p.shown.Close()
	p.unguard()
	child.Release(p.pid)
}

func (p *unixProcess) send(sig syscall.Signal) error {
	if p.group || p.term.shared(sig) {
		return syscall.Kill(-p.pid, sig)
	}
	return syscall.Kill(p.pid, sig)
}

// kill ends the process, too, if it has moved to another group.
func (p *unixProcess) kill() error {
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	return syscall.Kill(p.pid, syscall.SIGKILL)
}

func (p *unixProcess) proceed() { _ = syscall.Kill(-p.pid, syscall.SIGCONT) }
