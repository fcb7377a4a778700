package writer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// A fsys is what publishing needs of one directory. All names are relative to it
// and use slashes. None leads out of it: no element of a name is a symbolic link
// that is followed.
type fsys interface {
	Mkdir(name string, perm fs.FileMode) error
	OpenFile(name string, flag int, perm fs.FileMode) (file, error)
	// OpenDir returns a directory to sync. The fsys keeps it: nothing is to close.
	OpenDir(name string) (syncer, error)
	Lstat(name string) (stat, error)
	ReadDir(name string) ([]string, error) // the names in it, in order
	Readlink(name string) (string, error)
	Symlink(target, name string) error
	Link(from, to string) error
	Rename(from, to string) error
	Chmod(name string, mode fs.FileMode) error // of anything but a symbolic link
	Lchown(name string, uid, gid int) error
	Remove(name string) error
	RemoveAll(name string) error
	// Forget gives up the descriptors of all directories below but one.
	Forget(but string)
	Close() error
}

// A file is an open file of a fsys.
type file interface {
	syncer
	io.Reader
	io.Writer
	io.WriterAt
	io.Closer
	Stat() (stat, error)
	Truncate(size int64) error
	Chmod(mode fs.FileMode) error
	Chown(uid, gid int) error
}

type syncer interface{ Sync() error }

// A stat is what is known of a file. Owner and group are -1 where there are none.
type stat struct {
	mode     fs.FileMode
	size     int64
	uid, gid int
	links    uint64 // names of the file
	id       fileID
}

func (s stat) regular() bool { return s.mode.IsRegular() }
func (s stat) isDir() bool   { return s.mode.IsDir() }
func (s stat) isLink() bool  { return s.mode&fs.ModeSymlink != 0 }

// newFsys is how a directory that has been opened is worked on; tests put
// faults in between.
var newFsys = func(_ string, r *root) fsys { return r }

// failed says which step failed, at which name, and why, without what the os
// package says of both.
func failed(step, name string, err error) error {
	if err == nil {
		return nil
	}
	cause := err
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		cause = pathErr.Err
	case errors.As(err, &linkErr):
		cause = linkErr.Err
	}
	return fmt.Errorf("%s %s: %w", step, name, cause)
}

// absent reports whether an error says that there is nothing under a name, or
// that a link is on the way to it.
func absent(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) ||
		err != nil && !errors.As(err, &errno)
}

// taken turns the errors of a rename to the name of a directory that is not free
// into the one that says so.
func taken(err error) error {
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrExist
	}
	return err
}
