//go:build unix

package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A dirLock is the lock of a set in a directory: a file whose lock says that the set
// has a helper. The file stays: a lock file that is removed can be held by two.
type dirLock struct {
	openFile
	name        string // of the file that is locked
	made        bool   // by us
	plain       bool   // the file system keeps no owners, or no modes
	unsupported bool   // the file system cannot lock
}

// lockDir takes the lock of a set, or says which process has it. The lock file is
// for its owner only: any process that can open it could hold the lock. What another
// user has put in its place goes, unless it is locked. A directory that is closed to
// this user is locked itself, which serves one set.
func lockDir(r *root, path, set string) (*dirLock, error) {
	const tries = 5 // another process may exchange it behind us
	name := own(lockName, set)
	for range tries {
		l, err := openLock(r, path, name)
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
	return nil, fmt.Errorf("%s: %w, again and again", name, errReplaced)
}

// openLock opens what is to be locked.
func openLock(r *root, path, name string) (*dirLock, error) {
	if s, err := r.Lstat(name); err == nil && !s.regular() {
		if err := r.RemoveAll(name); err != nil {
			return nil, foreignLock(name, err)
		}
	}
	f, err := r.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|openNonblock, 0o600)
	if err == nil {
		return &dirLock{openFile: f.(openFile), name: name, made: true}, nil
	}
	if errors.Is(err, fs.ErrExist) {
		f, err = r.OpenFile(name, os.O_RDWR|openNonblock, 0)
	}
	if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) && canWrite(path) != nil {
		name = "."
		f, err = r.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	}
	switch {
	case errors.Is(err, fs.ErrPermission) && name != ".":
		return nil, foreignLock(name, err)
	case err != nil:
		return nil, failed("open", name, err)
	}
	return &dirLock{openFile: f.(openFile), name: name}, nil
}

func foreignLock(name string, err error) error {
	return fmt.Errorf("%s is not a lock file of this user's: find out which program put it there, and remove it: %w", name, failed("open", name, err))
}

// take locks what has been opened, and reports whether that is the lock of the
// set; if not, the next one is to be opened.
func (l *dirLock) take(r *root) (locked bool, err error) {
	if err := l.flock(); errors.Is(err, syscall.EWOULDBLOCK) {
		return false, l.taken()
	} else if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOLCK) {
		l.unsupported = true
	} else if err != nil {
		return false, failed("lock", l.name, err)
	}
	if l.name == "." {
		return true, nil
	}
	opened, err := l.Stat()
	if err != nil {
		return false, failed("look at", l.name, err)
	}
	if named, err := r.Lstat(l.name); err != nil || !opened.same(named) {
		return false, ignoreMissing(err)
	}
	if opened.uid != ownUID && !l.made {
		if err := r.Remove(l.name); err != nil {
			return false, foreignLock(l.name, err)
		}
		return false, nil
	}
	if opened.links > 1 {
		return true, nil // what else is linked here is not ours to write to
	}
	if err := l.sign(); err != nil {
		return false, err
	}
	signed, err := l.Stat()
	if err != nil {
		return false, failed("look at", l.name, err)
	}
	l.plain = opened.uid != ownUID || signed.mode.Perm() != 0o600
	return true, nil
}

// sign writes this process's number into the lock file, where there is room. The
// lock holds without it.
func (l *dirLock) sign() error {
	if err := l.Truncate(0); err != nil { // before anything else: it names the last one
		return failed("truncate", l.name, err)
	}
	if err := l.Chmod(0o600); err != nil {
		return failed("chmod", l.name, err)
	}
	_, err := l.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	if err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, errQuota) {
		return failed("write", l.name, err)
	}
	return nil
}

// A lock that another process has is waited for this often and long, and anew
// whenever yet another one has got it.
const (
	lockTries = 100
	lockPause = 10 * time.Millisecond
)

// flock takes the lock. It is patient for a moment: a helper that has just ended
// can leave it to a process that it had begun to start, until that one is running;
// one that fetches once gives it back when it has written, and several may do so,
// one after the other. And one that has just begun can so write its number.
func (l *dirLock) flock() (err error) {
	holder := l.holder()
	for tries := 0; tries < lockTries; tries++ {
		err = syscall.Flock(l.fd, syscall.LOCK_EX|syscall.LOCK_NB)
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
	_ = syscall.Flock(l.fd, syscall.LOCK_UN)
	return l.openFile.Close()
}

// held reports whether the lock file is still the one that is locked.
func (l *dirLock) held(f fsys) bool {
	named, err := f.Lstat(l.name)
	opened, serr := l.Stat()
	return err == nil && serr == nil && opened.same(named)
}

// taken says which process has the lock.
func (l *dirLock) taken() error {
	switch pid := l.holder(); pid {
	case 0:
		return errors.New("another helper publishes here: stop it, or give this one a directory or a set of its own")
	case os.Getpid():
		return fmt.Errorf("another output of this helper (pid %d) leads here: give each a directory or a set of its own", pid)
	default:
		return fmt.Errorf("another helper (pid %d) publishes here: stop it, or give this one a directory or a set of its own", pid)
	}
}

// holder returns the process that has the lock; 0 is none that is known.
func (f openFile) holder() int {
	buf := make([]byte, 32)
	n, err := unix.Pread(f.fd, buf, 0)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// holderOf returns the process that holds a lock file, if one does; 0 is one that
// is not known.
func holderOf(path string) (pid int, held bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, !absent(err) // another user's
	}
	f := openFile{fd}
	defer f.Close() // and the lock with it
	return f.holder(), unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}
