package helper

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// flips hears of each generation that becomes visible in a directory. The
// kernel's own times of files are too coarse: they are those of its last tick.
type flips struct {
	t     *testing.T
	times chan time.Time
}

func watchFlips(t *testing.T, dir string) *flips {
	t.Helper()
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	f := &flips{t: t, times: make(chan time.Time, 1024)}
	var watching sync.WaitGroup
	watching.Go(func() {
		for e := range w.Events {
			if e.Has(fsnotify.Create) && filepath.Base(e.Name) == "..data" {
				f.times <- time.Now()
			}
		}
	})
	t.Cleanup(func() { w.Close(); watching.Wait() })
	return f
}

// next waits for the next one, and returns when it became visible.
func (f *flips) next() time.Time {
	f.t.Helper()
	select {
	case at := <-f.times:
		return at
	case <-time.After(patience):
		f.t.Fatal("nothing was published")
		return time.Time{}
	}
}
