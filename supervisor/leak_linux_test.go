package supervisor

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// A hundred real processes crash and are started again; nothing of them stays.
func TestHundredCrashesLeaveNothing(t *testing.T) {
	defer func(first, max time.Duration) { backoffFirst, backoffMax = first, max }(backoffFirst, backoffMax)
	backoffFirst, backoffMax = time.Millisecond, time.Millisecond

	path, out := pipe(t)
	s := supervise(t, Spec{
		Command: shell(`echo $$ >$1; kill -9 $$`, path),
		Restart: RestartAlways,
	})
	s.Rotated()
	var before inventory
	for i := range 101 {
		out.next()
		if i == 10 { // warm: the runtime has the threads that it needs
			before = takeInventory(t)
		}
	}
	s.await("crashed", func(st Status) bool { return st.Restarts >= 100 })
	s.Stop()
	wantStatus(t, ignoreDeath(s.result()), 0)
	after := takeInventory(t)
	t.Logf("before: %+v, after 100 crashes: %+v", before, after)
	if after.goroutines > before.goroutines || after.descriptors > before.descriptors ||
		after.children > 0 || after.threads > before.threads+8 {
		t.Errorf("left behind: before %+v, after %+v", before, after)
	}
}

// ignoreDeath is for a process that may or may not have run at the stop.
func ignoreDeath(err error) error {
	var exit *ExitError
	if errors.As(err, &exit) && exit.Code > 128 {
		return nil
	}
	return err
}

// An inventory is what a process can leak.
type inventory struct {
	goroutines, descriptors, threads, children int
}

func takeInventory(t *testing.T) inventory {
	t.Helper()
	entries := func(dir string) int {
		all, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	// Any child is one too many: there are no other tests beside this one.
	children := 0
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		children = 1
	}
	return inventory{runtime.NumGoroutine(), entries("/proc/self/fd"), entries("/proc/self/task"), children}
}
