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
	made        bool   // by us
	plain       bool   // the file system keeps no owners, or no modes
	unsupported bool   // the file system cannot lock
}

// lockDir takes the lock of a directory, or says who has it. The lock file is
// for its owner only: whoever can open it could hold the lock. What somebody else
// has put in its place goes, unless it is locked. A directory that is closed to
// this user is locked itself.
func lockDir(r *os.Root) (*dirLock, error) {
	const tries = 5 // somebody may exchange it behind us
	for range tries {
		l, err := openLock(r)
		if err != nil {
			return nil, err
		}
		locked, err := l.take(r)
		if locked && err == nil {
			return l, nil
		}
		l.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %w, again and again", lockName, errReplaced)
}

// openLock opens what is to be locked.
func openLock(r *os.Root) (*dirLock, error) {
	const flags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	if info, err := r.Lstat(lockName); err == nil && !info.Mode().IsRegular() {
		if err := r.Remove(lockName); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, foreignLock(err)
		}
	}
	f, err := r.OpenFile(lockName, os.O_RDWR|os.O_CREATE|os.O_EXCL|flags, 0o600)
	if err == nil {
		return &dirLock{File: f, name: lockName, made: true}, nil
	}
	if errors.Is(err, fs.ErrExist) {
		f, err = r.OpenFile(lockName, os.O_RDWR|flags, 0)
	}
	name := lockName
	if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) && canWrite(r.Name()) != nil {
		name = "."
		f, err = r.OpenFile(name, os.O_RDONLY|flags, 0)
	}
	switch {
	case errors.Is(err, fs.ErrPermission) && name == lockName:
		return nil, foreignLock(err)
	case err != nil:
		return nil, failed("open", name, err)
	}
	return &dirLock{File: f, name: name}, nil
}

func foreignLock(err error) error {
	return fmt.Errorf("%s is not a lock file of this user's: find out who put it there, and remove it: %w", lockName, failed("open", lockName, err))
}

// take locks what has been opened, and reports whether that is the lock of the
// directory; if not, the next one is to be opened.
func (l *dirLock) take(r *os.Root) (locked bool, err error) {
	if err := l.flock(); errors.Is(err, syscall.EWOULDBLOCK) {
		return false, l.taken()
	} else if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOLCK) {
		l.unsupported = true
	} else if err != nil {
		return false, failed("lock", l.name, err)
	}
	if l.name != lockName {
		return true, nil
	}
	opened, err := l.Stat()
	if err != nil {
		return false, failed("look at", l.name, err)
	}
	if named, err := r.Lstat(l.name); err != nil || !os.SameFile(opened, named) {
		return false, ignoreMissing(err)
	}
	uid, _, _ := ownerOf(opened)
	if uid != ownUID && !l.made {
		if err := r.Remove(l.name); err != nil {
			return false, foreignLock(err)
		}
		return false, nil
	}
	if st, ok := opened.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
		return true, nil // what else is linked here is not ours to write to
	}
	if err := l.sign(); err != nil {
		return false, err
	}
	signed, err := l.Stat()
	if err != nil {
		return false, failed("look at", l.name, err)
	}
	l.plain = uid != ownUID || signed.Mode().Perm() != 0o600
	return true, nil
}

// sign writes into the lock file who has it.
func (l *dirLock) sign() error {
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

// A lock that somebody has is waited for this often and long, and anew whenever
// another one has got it.
const (
	lockTries = 100
	lockPause = 10 * time.Millisecond
)

// flock takes the lock. It is patient for a moment: a helper that has just ended
// can leave it to a process that it had begun to start, until that one is
// running; one that fetches once gives it back when it has written, and several
// may do so, one after the other. And one that has just begun can so write who
// it is.
func (l *dirLock) flock() (err error) {
	holder := l.holder()
	for tries := 0; tries < lockTries; tries++ {
		err = syscall.Flock(int(l.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EWOULDBLOCK:
		default:
			return err
		}
		if now := l.holder(); now != holder {
			holder, tries = now, 0
		}
		time.Sleep(lockPause)
	}
	return err
}

// Close gives the lock up, even while a process that is being started has the
// descriptor, too.
func (l *dirLock) Close() error {
	_ = syscall.Flock(int(l.Fd()), syscall.LOCK_UN)
	return l.File.Close()
}

// taken says who has the lock.
func (l *dirLock) taken() error {
	switch pid := l.holder(); pid {
	case 0:
		return errors.New("another helper publishes here: stop it, or give this one a directory of its own")
	case os.Getpid():
		return fmt.Errorf("another output of this helper (pid %d) leads here: give each a directory of its own", pid)
	default:
		return fmt.Errorf("another helper (pid %d) publishes here: stop it, or give this one a directory of its own", pid)
	}
}

// holder returns the process that has the lock; 0 is none that is known.
func (l *dirLock) holder() int {
	buf := make([]byte, 32)
	n, err := l.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
