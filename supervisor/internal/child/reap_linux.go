package child

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Subreap makes the helper a subreaper, which inherits orphans as PID 1 does.
func Subreap() {
	// It cannot fail since Linux 3.4.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// ReapOrphans reaps the orphans that this process inherits until stop is called,
// if it is the first process (PID 1) or a subreaper.
func ReapOrphans() (stop func()) {
	if !inheritsOrphans() {
		return func() {}
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	closing, closed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(closed)
		for {
			reapAll()
			select {
			case <-closing:
				return
			case <-children:
			case <-orphaned:
			}
		}
	}()
	return func() {
		signal.Stop(children)
		close(closing)
		<-closed
	}
}

func inheritsOrphans() bool {
	var subreaper int32
	_ = unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	return subreaper != 0 || os.Getpid() == 1
}

// reapAll reaps the orphans that have ended. It looks at each before it takes
// it, and stops at one that is waited for, or that may be a fork's: the end of
// either calls it again.
func reapAll() {
	children.Lock()
	defer children.Unlock()
	for {
		pid := waitable()
		if pid == 0 {
			return
		}
		if _, is := children.waited[pid]; is || children.forks > 0 {
			return
		}
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	}
}

// waitable returns a child that has ended and waits to be reaped, or 0.
func waitable() int {
	// The kernel's siginfo_t: 128 bytes, for SIGCHLD the pid after three
	// numbers, aligned as the union behind them is.
	var info struct {
		numbers [3]int32
		_       [unsafe.Sizeof(uintptr(0)) - 4]byte
		pid     int32
		_       [108]byte
	}
	_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)),
		unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(info.pid)
}
