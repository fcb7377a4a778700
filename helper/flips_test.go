package helper

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// flips hears of each generation that becomes visible in some directories, all
// with one watch. The kernel's own times of files are too coarse: they are those
// of its last tick.
type flips struct {
	t     *testing.T
	watch *fsnotify.Watcher

	mu    sync.Mutex
	times map[string]chan time.Time // by directory
}

func watchFlips(t *testing.T) *flips {
	t.Helper()
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	f := &flips{t: t, watch: w, times: make(map[string]chan time.Time)}
	var watching sync.WaitGroup
	watching.Go(f.run)
	t.Cleanup(func() { w.Close(); watching.Wait() })
	return f
}

func (f *flips) run() {
	for e := range f.watch.Events {
		dir, name := filepath.Split(e.Name)
		if !e.Has(fsnotify.Create) || name != "..data" {
			continue
		}
		now := time.Now()
		f.mu.Lock()
		times := f.times[filepath.Clean(dir)]
		f.mu.Unlock()
		times <- now
	}
}

// of returns when, from now on, a generation becomes visible in dir.
func (f *flips) of(dir string) <-chan time.Time {
	f.t.Helper()
	times := make(chan time.Time, 1024)
	f.mu.Lock()
	f.times[filepath.Clean(dir)] = times
	f.mu.Unlock()
	if err := f.watch.Add(dir); err != nil {
		f.t.Error(err)
	}
	return times
}

// nextFlip waits for the next one, and returns when it became visible.
func nextFlip(t *testing.T, times <-chan time.Time) time.Time {
	t.Helper()
	select {
	case at := <-times:
		return at
	case <-time.After(patience):
		t.Error("nothing was published")
		return time.Time{}
	}
}
