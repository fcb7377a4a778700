//go:build !linux

package writer

import "errors"

// eyes see nothing: only Linux is listened to.
type eyes struct{}

// newInotify is for tests, which have no watch to spare.
var newInotify = func(string) (int, error) { return 0, errors.ErrUnsupported }

func (e *eyes) open(d *Dir, _ string) error {
	_, err := newInotify(d.path)
	return err
}
func (e *eyes) pause()      {}
func (e *eyes) drop(string) {}
func (e *eyes) close()      {}
func (e *eyes) wait()       {}
