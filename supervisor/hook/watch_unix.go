//go:build linux || darwin

package hook

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"

	"github.com/svidhelper/svidhelper/fswatch"
)

// An fsWatch hears of a file's appearance, and of that of the directories that
// it is in. An empty path hears of nothing.
type fsWatch struct {
	path    string
	watcher *fswatch.Watcher
}

// watch begins to listen, or moves on to a directory that has appeared, which
// it reports. What cannot be watched is not an error: the backoff comes round
// anyway.
func (w *fsWatch) watch() bool {
	if w.path == "" {
		return false
	}
	path, err := filepath.Abs(w.path)
	if err != nil {
		return false
	}
	if w.watcher == nil {
		if w.watcher, err = fswatch.New(); err != nil {
			w.watcher = nil
			return false
		}
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if slices.Contains(w.watcher.WatchList(), dir) {
			return false
		}
		if w.watcher.Add(dir) == nil {
			return true
		}
		if dir == filepath.Dir(dir) {
			return false
		}
	}
}

// settle ends listening.
func (w *fsWatch) settle() {
	if w.watcher != nil {
		_ = w.watcher.Close()
		w.watcher = nil
	}
}

func (w *fsWatch) events() <-chan fsnotify.Event {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Events
}

// concerns reports whether the event is about the file or a directory on its
// way.
func (w *fsWatch) concerns(ev fsnotify.Event) bool {
	path, err := filepath.Abs(w.path)
	if err != nil || ev.Has(fsnotify.Chmod) && !ev.Has(fsnotify.Create|fsnotify.Write) {
		return false
	}
	return path == ev.Name || strings.HasPrefix(path, strings.TrimSuffix(ev.Name, "/")+"/")
}
