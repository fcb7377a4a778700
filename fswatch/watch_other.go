//go:build !linux

package fswatch

import "github.com/fsnotify/fsnotify"

// A Watcher hands over what happens in directories. Its zero value hears of
// nothing. Both channels are closed by Close.
type Watcher struct{ *fsnotify.Watcher }

// Pause does nothing: here a caller hears of its own doing.
func (w *Watcher) Pause(string) error { return nil }

// New returns a watcher that watches nothing yet. It has a buffer, since on
// Windows to add a watch is to wait for the goroutine that hands over the
// events, and a caller that adds may be the one that receives them.
func New() (*Watcher, error) {
	w, err := fsnotify.NewBufferedWatcher(1024)
	if err != nil {
		return nil, err
	}
	return &Watcher{w}, nil
}
