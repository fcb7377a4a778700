//go:build unix

package writer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockName is the file whose lock says that a directory has a helper. It stays:
// a lock file that is removed can be held by two.
const lockName = "..lock"

// lockDir takes the lock of a directory, or says who has it. The lock file is
// for its owner only: whoever can open it could hold the lock.
func lockDir(r *os.Root) (*os.File, error) {
	f, err := r.OpenFile(lockName, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, failed("open", lockName, err)
	}
	if err := lockFile(r, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func lockFile(r *os.Root, f *os.File) error {
	opened, err := f.Stat()
	if err != nil {
		return failed("look at", lockName, err)
	}
	named, err := r.Lstat(lockName)
	if err != nil {
		return failed("look at", lockName, err)
	}
	if uid, _, _ := ownerOf(opened); !opened.Mode().IsRegular() || !os.SameFile(opened, named) || uid != ownUID {
		return fmt.Errorf("%s is not a lock file of this user's: find out who put it there, and remove it", lockName)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("another helper%s publishes here: stop it, or give this one a directory of its own", patientHolder(f))
	}
	if err != nil {
		return failed("lock", lockName, err)
	}
	if err := f.Truncate(0); err != nil { // before anything else: it names the last one
		return failed("truncate", lockName, err)
	}
	if err := f.Chmod(0o600); err != nil {
		return failed("chmod", lockName, err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return failed("write", lockName, err)
	}
	return nil
}

// patientHolder is holder, but gives one that has just taken the lock the time
// to write who it is.
func patientHolder(f *os.File) string {
	const tries, pause = 20, 5 * time.Millisecond
	for range tries {
		if h := holder(f); h != "" {
			return h
		}
		time.Sleep(pause)
	}
	return ""
}

// holder says in words who wrote the lock file.
func holder(f *os.File) string {
	buf := make([]byte, 32)
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil || pid <= 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
