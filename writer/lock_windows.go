package writer

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// lockName is the file whose lock says that a directory has a helper.
const lockName = "..lock"

// A dirLock is the lock of a directory.
type dirLock struct {
	*os.File
	name        string // of the file that is locked
	unsupported bool   // the file system cannot lock
	plain       bool   // no file system keeps modes
}

// lockDir takes the lock of a directory. A locked file cannot be read, so that
// who has it remains unsaid.
func lockDir(r *os.Root) (*dirLock, error) {
	f, err := r.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, failed("open", lockName, err)
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
	if err == nil {
		return &dirLock{File: f, name: lockName}, nil
	}
	f.Close()
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return nil, fmt.Errorf("another helper publishes here: stop it, or give this one a directory of its own")
	}
	return nil, failed("lock", lockName, err)
}
