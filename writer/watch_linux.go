package writer

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// eyes are one inotify instance with two watches. Its goroutine sleeps in a read.
// Before something is published the watch on the directory is told to hear nothing
// but the directory's own end, so that our own doing wakes nothing.
type eyes struct {
	file      *os.File
	path      string // of the directory
	dir, gen  uint32 // watch descriptors
	genName   string
	listening sync.WaitGroup
	mu        sync.Mutex // for dir and gen
}

// What is heard of a directory. Names that come are of no interest: whatever has a
// name of ours is renamed over it, or the name was gone before.
const (
	hearSelf = unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	hearAll  = hearSelf | unix.IN_ATTRIB | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MODIFY
)

// newInotify makes an inotify instance; a user has only so many.
var newInotify = func(string) (int, error) { return unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK) }

// open watches, or goes on watching, the directory and a generation in it.
func (e *eyes) open(d *Dir, gen string) error {
	if e.file == nil {
		fd, err := newInotify(d.path)
		if err != nil {
			return err
		}
		e.file, e.path = os.NewFile(uintptr(fd), "inotify"), d.path
		f := e.file
		e.listening.Go(func() { e.listen(f, d) })
	}
	dir, err := e.watch("", hearAll)
	if err != nil {
		return err
	}
	wd := uint32(0)
	if gen != "" && gen == e.genName {
		wd = e.gen
	} else if gen != "" {
		if wd, err = e.watch(gen, hearAll); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dir, e.gen, e.genName = dir, wd, gen
	return nil
}

func (e *eyes) watch(name string, mask uint32) (uint32, error) {
	wd, err := unix.InotifyAddWatch(int(e.fd()), filepath.Join(e.path, name), mask)
	return uint32(wd), err
}

// fd is the descriptor; os.File.Fd would make it block.
func (e *eyes) fd() (fd uintptr) {
	conn, err := e.file.SyscallConn()
	if err == nil {
		err = conn.Control(func(f uintptr) { fd = f })
	}
	if err != nil {
		return ^uintptr(0)
	}
	return fd
}

func (e *eyes) pause() {
	if e.file != nil {
		_, _ = e.watch("", hearSelf) // otherwise it looks once for nothing
	}
}

// drop ends nothing: the watch on a generation ends with the generation, and what it
// says before that is not listened to.
func (e *eyes) drop(string) {}

func (e *eyes) close() {
	if e.file != nil {
		e.file.Close()
		e.file, e.genName = nil, ""
	}
}

func (e *eyes) wait() { e.listening.Wait() }

// listen passes on what happens.
func (e *eyes) listen(f *os.File, d *Dir) {
	buf := make([]byte, 4096)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd, mask := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:])
			length := int(binary.NativeEndian.Uint32(b[12:]))
			name := strings.TrimRight(string(b[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+length]), "\x00")
			b = b[unix.SizeofInotifyEvent+length:]
			e.mu.Lock()
			dir, gen := e.dir, e.gen
			e.mu.Unlock()
			switch {
			case mask&unix.IN_Q_OVERFLOW != 0:
				d.heard("", false)
			case mask&unix.IN_IGNORED != 0:
			case wd == dir:
				d.heard(name, false)
			case wd == gen:
				d.heard(name, true)
			}
		}
	}
}
