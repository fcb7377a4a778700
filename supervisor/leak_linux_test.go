package supervisor

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"
)

// A hundred real processes crash and are started again; nothing of them stays.
func TestHundredCrashesLeaveNothing(t *testing.T) {
	defer func(first, max time.Duration) { backoffFirst, backoffMax = first, max }(backoffFirst, backoffMax)
	backoffFirst, backoffMax = time.Millisecond, time.Millisecond

	path, out := pipe(t)
	idle := takeInventory(t)
	s := supervise(t, Spec{
		Command: shell(`echo $$ >$1; kill -9 $$`, path),
		Restart: RestartAlways,
	})
	s.Rotated()
	var warm inventory // when the runtime has the threads that it needs
	for i := range 101 {
		out.next()
		if i == 10 {
			warm = takeInventory(t)
		}
	}
	s.await("crashed", func(st Status) bool { return st.Restarts >= 100 })
	s.Stop()
	wantStatus(t, ignoreDeath(s.result()), 0)
	// The goroutine and the thread of a start end by themselves after it.
	var after inventory
	for end := time.Now().Add(patience); ; {
		after = takeInventory(t)
		stays := after.goroutines > warm.goroutines || after.descriptors > warm.descriptors ||
			after.children > idle.children || after.threads > warm.threads+8
		if !stays {
			break
		}
		if time.Now().After(end) {
			t.Errorf("left behind: %+v", after)
			break
		}
	}
	t.Logf("idle: %+v, after 10 crashes: %+v, after 100: %+v", idle, warm, after)
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
	return inventory{
		goroutines:  runtime.NumGoroutine(),
		descriptors: entries("/proc/self/fd"),
		threads:     entries("/proc/self/task"),
		children:    len(descendants(t, os.Getpid())) - 1, // dead ones, too
	}
}
