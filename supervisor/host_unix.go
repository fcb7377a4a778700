//go:build linux || darwin

package supervisor

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// A unixHost runs processes with fork, exec and wait.
type unixHost struct {
	term    *terminal
	changes chan os.Signal
}

func newHost() host {
	return &unixHost{term: &terminal{}, changes: make(chan os.Signal, 1)}
}

func (h *unixHost) open(spec *Spec) (changes, jobs <-chan os.Signal, shut func()) {
	signal.Notify(h.changes, syscall.SIGCHLD)
	// A broken pipe behind stderr is no reason to die; nothing reads this.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	child.IgnoreDeadly()
	stops := make(chan os.Signal, 8)
	h.term.open(stops)
	if spec.Subreaper {
		child.Subreap()
	}
	stopReaping := child.ReapOrphans()
	return h.changes, stops, func() {
		stopReaping()
		h.term.close(stops)
		signal.Stop(pipes)
		signal.Stop(h.changes)
	}
}

func (h *unixHost) start(ctx context.Context, spec *Spec) (process, error) {
	var path string // as the process sees it from its directory
	found, err := child.Reach(ctx, func() (_ string, err error) {
		path, err = spec.lookPath()
		return spec.inDir(path), err
	})
	if err != nil {
		return nil, err
	}
	attr, err := spec.procAttr()
	if err != nil {
		return nil, err
	}
	foreground := h.term.offer(attr.Sys)
	begin := func(path string, argv []string) (int, error) {
		return child.Spawn(func() (int, error) {
			if err := spec.limitThread(); err != nil {
				return 0, err
			}
			return syscall.ForkExec(path, argv, attr)
		})
	}
	p := &unixProcess{spec: spec, host: h, unguard: func() {}, empty: make(chan struct{})}
	if gains(found, attr.Sys.Credential) {
		p.pid, p.unguard, err = startGuarded(spec, path, attr, begin)
	} else {
		p.pid, err = begin(adopting(path, spec.Command, noGate))
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
// pid, and its group's number, are not given to another process.
type unixProcess struct {
	spec    *Spec
	host    *unixHost
	pid     int
	shown   *signals.Process
	unguard func() // called once, when it is gone

	exit  *Exit         // it is gone, others of its group are not
	empty chan struct{} // closed when they are, or will not go
}

func (p *unixProcess) id() int { return p.pid }

func (p *unixProcess) handling(sig syscall.Signal) signals.Handling { return p.shown.Handling(sig) }

func (p *unixProcess) poll(now time.Time) change {
	if p.exit != nil {
		select {
		case <-p.empty:
			return change{exit: p.exit}
		default:
			return change{}
		}
	}
	var ws syscall.WaitStatus
	pid, err := syscall.Wait4(p.pid, &ws, syscall.WNOHANG|syscall.WUNTRACED, nil)
	for err == syscall.EINTR {
		pid, err = syscall.Wait4(p.pid, &ws, syscall.WNOHANG|syscall.WUNTRACED, nil)
	}
	switch {
	case err != nil: // ECHILD: its status was taken, which cannot be
		return p.gone(Exit{At: now, Code: 1})
	case pid != p.pid:
		return change{}
	case ws.Stopped():
		return change{stopped: ws.StopSignal()}
	case ws.Signaled():
		return p.gone(Exit{At: now, Signal: ws.Signal()})
	default:
		return p.gone(Exit{At: now, Code: ws.ExitStatus()})
	}
}

// gone follows the end of the process. What is left of its group would outlive
// the helper, or keep the port that the next process needs: it is to end, too.
func (p *unixProcess) gone(exit Exit) change {
	p.host.term.back()
	p.shown.Close()
	p.unguard()
	child.Release(p.pid)
	if syscall.Kill(-p.pid, p.spec.stopSignal()) != nil {
		return change{exit: &exit} // nothing is left, or nothing that we may end
	}
	p.exit = &exit
	go p.clear()
	return change{}
}

// leftTime is how long what is left of a group has to end before it is killed,
// unless the Spec has a time for the process to stop.
const leftTime = 5 * time.Second

// clear waits until the group is empty, whose members keep its number from being
// used again. It gives up on what does not even die of SIGKILL.
func (p *unixProcess) clear() {
	limit := cmp.Or(p.spec.StopTimeout, leftTime)
	if !p.emptyWithin(limit) {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		p.emptyWithin(time.Second)
	}
	close(p.empty)
	select {
	case p.host.changes <- syscall.SIGCHLD: // poll once more
	default:
	}
}

func (p *unixProcess) emptyWithin(limit time.Duration) bool {
	wait := time.Millisecond // nothing tells us
	for end := time.Now().Add(limit); time.Now().Before(end); wait = min(2*wait, 50*time.Millisecond) {
		if !groupLives(p.pid) {
			return true
		}
		time.Sleep(wait)
	}
	return false
}

func (p *unixProcess) send(sig syscall.Signal) error {
	if p.exit != nil || p.spec.SignalGroup || p.host.term.shared(sig) {
		return syscall.Kill(-p.pid, sig)
	}
	return syscall.Kill(p.pid, sig)
}

// kill ends the process, too, if it has moved to another group.
func (p *unixProcess) kill() error {
	err := syscall.Kill(-p.pid, syscall.SIGKILL)
	if p.exit == nil {
		err = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	return err
}

func (p *unixProcess) proceed() { _ = syscall.Kill(-p.pid, syscall.SIGCONT) }
