//go:build linux || darwin

package supervisor

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
	"golang.org/x/sys/unix"
)

// A terminal is the helper's controlling terminal, if it has one, and which
// process group may use it.
//
// The process has a group of its own. When the helper runs interactively in the
// foreground, that group becomes the foreground: Ctrl-C, Ctrl-Z and the window
// size reach the process and its children from the terminal, once, and not the
// helper. When job control stops the process, the helper stops itself in the
// same way, so that the shell sees a stopped job; when the shell continues the
// helper, the helper hands the terminal over and continues the process.
//
// When stdin or stdout is not the terminal, others of the helper's group may
// need it (svidhelper … | less). Then the process gets the terminal only once
// it asks for it, which stops it with SIGTTIN or SIGTTOU, and until then what
// the terminal sends to the helper's group is passed on to the process's.
type terminal struct {
	mu        sync.Mutex // a start runs beside the loop
	fd        int        // -1 without a terminal
	given     int        // the group that has it from us, 0 for none
	suspended *suspension
}

func (t *terminal) open(jobs chan<- os.Signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fd = openTerminal(); t.fd < 0 {
		signal.Notify(jobs, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
		return
	}
	signal.Notify(jobs, syscall.SIGTSTP, syscall.SIGTTIN)
	child.IgnoreTTOU(true)
}

// openTerminal returns a descriptor of the controlling terminal, or -1.
func openTerminal() int {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil {
		return fd
	}
	for std := range 3 { // a container may have no /dev/tty
		if _, err := unix.IoctlGetInt(std, unix.TIOCGPGRP); err != nil {
			continue
		}
		if fd, err := unix.FcntlInt(uintptr(std), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			return fd
		}
	}
	return -1
}

func (t *terminal) close(jobs chan<- os.Signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	signal.Stop(jobs)
	if t.fd < 0 {
		return
	}
	t.reclaim()
	child.IgnoreTTOU(false)
	unix.Close(t.fd)
	t.fd = -1
}

// offer makes sys put the process into the foreground, if the helper is there
// interactively.
func (t *terminal) offer(sys *syscall.SysProcAttr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.inForeground() || !interactive() {
		return false
	}
	sys.Foreground, sys.Ctty = true, t.fd
	return true
}

// taken follows a start into the foreground: the terminal is the process's, or,
// if that died before it was one, no group's.
func (t *terminal) taken(pid int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.giveTo(unix.Getpgrp())
		return
	}
	t.given = pid
}

// back takes the terminal back from a process that is gone.
func (t *terminal) back() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reclaim()
}

func (t *terminal) reclaim() {
	if t.given == 0 {
		return
	}
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err == nil && (group == t.given || unix.Kill(-group, 0) == unix.ESRCH) {
		t.giveTo(unix.Getpgrp())
	}
	t.given = 0
}

func (t *terminal) giveTo(group int) {
	// An error means that the terminal has hung up, which we cannot mend.
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
}

func (t *terminal) inForeground() bool {
	if t.fd < 0 {
		return false
	}
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// interactive reports whether stdin and stdout are the controlling terminal.
func interactive() bool {
	for _, fd := range []int{0, 1} {
		if _, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil {
			return false
		}
	}
	return true
}

// shared reports whether sig came, most likely, from the terminal to the
// helper's group, and would have gone to the process and its children.
func (t *terminal) shared(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGWINCH:
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.inForeground()
	}
	return false
}

// suspend follows the process, which sig has stopped, or the helper itself, if
// pid is 0.
func (t *terminal) suspend(pid int, sig syscall.Signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case pid == 0:
	case t.fd < 0, sig == syscall.SIGSTOP && t.given == 0:
		return // no shell watches; the sender of the signal continues the process
	case signals.WantsTerminal(sig) && t.inForeground():
		t.hand(pid)
		return
	case uncontrolled():
		// No shell would continue us: we are a container's first process, say.
		// There, Ctrl-Z does nothing.
		if sig == syscall.SIGTSTP {
			_ = syscall.Kill(-pid, syscall.SIGCONT)
		}
		return
	}
	t.reclaim()
	if t.suspended == nil {
		t.suspended = suspendSelf(sig, t.fd >= 0)
	}
}

// resume follows SIGCONT. It reports whether it has continued the process.
func (t *terminal) resume(pid int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.suspended != nil
	if was {
		t.suspended.end()
		t.suspended = nil
	}
	switch {
	case pid == 0:
	case t.inForeground() && (was || interactive()):
		t.hand(pid)
		return true
	case was:
		_ = syscall.Kill(-pid, syscall.SIGCONT)
	}
	return was
}

// hand gives the process the terminal, and continues it.
func (t *terminal) hand(pid int) {
	t.giveTo(pid)
	t.given = pid
	_ = syscall.Kill(-pid, syscall.SIGCONT)
}

// uncontrolled reports whether no shell controls the helper's process group: then
// the kernel does not stop it for the terminal's sake.
func uncontrolled() bool {
	if unix.Getpgrp() != unix.Getpid() {
		return false // part of a pipeline or script
	}
	ours, err := unix.Getsid(0)
	if err != nil {
		return true
	}
	parents, err := unix.Getsid(unix.Getppid())
	return err != nil || ours != parents
}
