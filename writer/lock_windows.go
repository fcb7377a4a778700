package writer

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// A dirLock is the lock of a set in a directory: a file whose lock says that the set
// has a helper.
type dirLock struct {
	*os.File
	name        string // of the file that is locked
	unsupported bool   // the file system cannot lock
	plain       bool   // no file system keeps modes
}

// lockDir takes the lock of a set. A locked file cannot be read, so that it remains
// unsaid which process has it.
func lockDir(r *root, _, set string) (*dirLock, error) {
	name := own(lockName, set)
	f, err := r.Root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, failed("open", name, err)
	}
	err = flock(f)
	if err == nil {
		return &dirLock{File: f, name: name}, nil
	}
	f.Close()
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return nil, fmt.Errorf("another helper publishes here: stop it, or give this one a directory or a set of its own")
	}
	return nil, failed("lock", name, err)
}

func flock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
}

// held reports whether the lock file is still the one that is locked.
func (l *dirLock) held(f fsys) bool {
	named, err := f.Lstat(l.name)
	opened, serr := statOf(l.File.Stat())
	return err == nil && serr == nil && opened.same(named)
}

// holderOf reports whether a process holds a lock file; which one is not known.
func holderOf(path string) (pid int, held bool) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, !absent(err)
	}
	defer f.Close() // and the lock with it
	return 0, flock(f) != nil
}
