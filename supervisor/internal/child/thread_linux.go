package child

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// OnOwnThread calls f on a thread that runs nothing else, before or after. The
// goroutine ends with the thread locked, and so the thread ends with it.
func OnOwnThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	// The main thread never ends, and /proc shows its attributes as the
	// process's. While it is locked here, f gets another one.
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		OnOwnThread(f)
	}()
	<-done
}
