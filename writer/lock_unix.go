//go:build unix

package writer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockName is the file whose lock says that a directory has a helper. It stays:
// a lock file that is removed can be held by two.
const lockName = "..lock"

// A dirLock is the lock of a directory.
type dirLock struct {
	*os.File
	name        string // of the file that is locked
	unsupported bool   // the file system cannot lock
}

// lockDir takes the lock of a directory, or says who has it. The lock file is
// for its owner only: whoever can open it could hold the lock. A directory that
// is closed to this user is locked itself.
func lockDir(r *os.Root) (*dirLock, error) {
	const flags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := r.OpenFile(lockName, os.O_RDWR|os.O_CREATE|flags, 0o600)
	name := lockName
	if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) && canWrite(r.Name()) != nil {
		name = "."
		f, err = r.OpenFile(name, os.O_RDONLY|flags, 0)
	}
	if err != nil {
		return nil, failed("open", name, err)
	}
	lock := &dirLock{File: f, name: name}
	if err := lock.take(r); err != nil {
		f.Close()
		return nil, err
	}
	return lock, nil
}

func (l *dirLock) take(r *os.Root) error {
	opened, err := l.Stat()
	if err != nil {
		return failed("look at", l.name, err)
	}
	named, err := r.Lstat(l.name)
	if err != nil {
		return failed("look at", l.name, err)
	}
	uid, _, _ := ownerOf(opened)
	if l.name == lockName && (!opened.Mode().IsRegular() || !os.SameFile(opened, named) || uid != ownUID) {
		return fmt.Errorf("%s is not a lock file of this user's: find out who put it there, and remove it", lockName)
	}
	if err := l.flock(); errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("another helper%s publishes here: stop it, or give this one a directory of its own", l.holder())
	} else if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOLCK) {
		l.unsupported = true
	} else if err != nil {
		return failed("lock", l.name, err)
	}
	if l.name != lockName {
		return nil
	}
	if err := l.Truncate(0); err != nil { // before anything else: it names the last one
		return failed("truncate", lockName, err)
	}
	if err := l.Chmod(0o600); err != nil {
		return failed("chmod", lockName, err)
	}
	if _, err := l.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return failed("write", lockName, err)
	}
	return nil
}

// flock takes the lock. It is patient for a moment: a helper that has just ended
// can leave it to a process that it had begun to start, until that one is
// running. And one that has just begun can so write who it is.
func (l *dirLock) flock() (err error) {
	const tries, pause = 25, 10 * time.Millisecond
	for range tries {
		err = syscall.Flock(int(l.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch err {
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			time.Sleep(pause)
		default:
			return err
		}
	}
	return err
}

// holder says in words who has the lock.
func (l *dirLock) holder() string {
	buf := make([]byte, 32)
	n, err := l.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil || pid <= 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
