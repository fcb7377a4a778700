package fswatch

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// A Watcher hands over what happens in directories. Its zero value hears of
// nothing. Both channels are closed by Close.
type Watcher struct {
	Events chan Event
	Errors chan error

	file   *os.File
	closed chan struct{}

	mu    sync.Mutex
	dirs  map[int32]string // by the kernel's number
	wants map[string]int32 // the numbers, by directory
}

// wanted is everything that makes, changes or removes a name, or the directory.
const wanted = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_MODIFY |
	unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// New returns a watcher that watches nothing yet. A user has only so many.
func New() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &Watcher{
		Events: make(chan Event), Errors: make(chan error), closed: make(chan struct{}),
		file: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{}, wants: map[string]int32{},
	}
	go w.read()
	return w, nil
}

// Add watches a directory. Added once more it is watched where its path leads
// now.
func (w *Watcher) Add(dir string) error { return w.add(dir, wanted) }

// Pause hears nothing of a directory but its own end, until it is added once more.
// What the caller itself does in it then wakes nothing.
func (w *Watcher) Pause(dir string) error {
	return w.add(dir, unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR)
}

func (w *Watcher) add(dir string, mask uint32) error {
	dir = filepath.Clean(dir)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.control(func(fd int) error {
		n, err := unix.InotifyAddWatch(fd, dir, mask)
		if err != nil {
			return &os.PathError{Op: "watch", Path: dir, Err: err}
		}
		if old, ok := w.wants[dir]; ok && old != int32(n) {
			w.drop(fd, old)
		}
		w.dirs[int32(n)], w.wants[dir] = dir, int32(n)
		return nil
	})
}

// Remove ends the watch on a directory.
func (w *Watcher) Remove(dir string) error {
	dir = filepath.Clean(dir)
	w.mu.Lock()
	defer w.mu.Unlock()
	n, ok := w.wants[dir]
	if !ok {
		return fsnotify.ErrNonExistentWatch
	}
	return w.control(func(fd int) error { w.drop(fd, n); return nil })
}

// WatchList returns the directories that are watched, in no order.
func (w *Watcher) WatchList() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.wants))
}

// Close ends all watches.
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.closed:
		return nil
	default:
	}
	close(w.closed)
	return w.file.Close()
}

func (w *Watcher) control(f func(fd int) error) error {
	c, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := c.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// drop ends a watch. One that the kernel has ended by itself is as good.
func (w *Watcher) drop(fd int, n int32) {
	_, _ = unix.InotifyRmWatch(fd, uint32(n))
	w.forget(n)
}

func (w *Watcher) forget(n int32) {
	if dir := w.dirs[n]; w.wants[dir] == n {
		delete(w.wants, dir)
	}
	delete(w.dirs, n)
}

func (w *Watcher) read() {
	defer close(w.Errors)
	defer close(w.Events)
	// Room for the longest name, and for many of ours. fsnotify's has room for
	// 4,096 events, on the stack: 128 kB a watcher that stay for ever.
	buffer := make([]byte, 4096)
	for {
		n, err := w.file.Read(buffer)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				w.fail(err)
			}
			return
		}
		for rest := buffer[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			raw := (*unix.InotifyEvent)(unsafe.Pointer(&rest[0]))
			end := unix.SizeofInotifyEvent + int(raw.Len)
			name := strings.TrimRight(string(rest[unix.SizeofInotifyEvent:end]), "\x00")
			if !w.hand(raw.Wd, raw.Mask, name) {
				return
			}
			rest = rest[end:]
		}
	}
}

// hand hands an event over. It returns false after Close.
func (w *Watcher) hand(n int32, mask uint32, name string) bool {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		return w.fail(fsnotify.ErrEventOverflow)
	}
	w.mu.Lock()
	dir, ok := w.dirs[n]
	if mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF) != 0 {
		if mask&unix.IN_MOVE_SELF != 0 { // its path is not known any more
			_ = w.control(func(fd int) error { w.drop(fd, n); return nil })
		}
		w.forget(n)
	}
	w.mu.Unlock()
	op := operation(mask)
	if !ok || op == 0 {
		return true
	}
	select {
	case w.Events <- Event{Name: filepath.Join(dir, name), Op: op}:
		return true
	case <-w.closed:
		return false
	}
}

func (w *Watcher) fail(err error) bool {
	select {
	case w.Errors <- err:
		return true
	case <-w.closed:
		return false
	}
}

func operation(mask uint32) (op fsnotify.Op) {
	for _, o := range []struct {
		mask uint32
		op   fsnotify.Op
	}{
		{unix.IN_CREATE | unix.IN_MOVED_TO, fsnotify.Create},
		{unix.IN_DELETE | unix.IN_DELETE_SELF, fsnotify.Remove},
		{unix.IN_MODIFY, fsnotify.Write},
		{unix.IN_MOVED_FROM | unix.IN_MOVE_SELF, fsnotify.Rename},
		{unix.IN_ATTRIB, fsnotify.Chmod},
	} {
		if mask&o.mask != 0 {
			op |= o.op
		}
	}
	return op
}
