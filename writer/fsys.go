package writer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A fsys is what publishing needs of the output's directory. All names are
// relative to it and use slashes; none leads out of it.
type fsys interface {
	Mkdir(name string, perm fs.FileMode) error
	OpenFile(name string, flag int, perm fs.FileMode) (file, error)
	Lstat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Readlink(name string) (string, error)
	Symlink(target, name string) error
	Link(from, to string) error
	Rename(from, to string) error
	Chmod(name string, mode fs.FileMode) error
	Lchown(name string, uid, gid int) error
	Remove(name string) error
	RemoveAll(name string) error
	Close() error
}

// A file is an open file or directory of a fsys.
type file interface {
	io.Reader
	io.Writer
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Chmod(mode fs.FileMode) error
	Chown(uid, gid int) error
	Sync() error
}

// root is the fsys of a real directory.
type root struct{ *os.Root }

func (r root) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := r.Root.OpenFile(filepath.FromSlash(name), flag, perm)
	if err != nil {
		return nil, err // not f, whose nil would be a file
	}
	return f, nil
}

func (r root) ReadDir(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(r.FS(), name)
}

// newFsys is how a directory that has been opened is worked on; tests put
// faults in between.
var newFsys = func(r *os.Root) fsys { return root{r} }

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
// that a link on the way to it leads out of the directory.
func absent(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err != nil && !errors.As(err, &errno)
}
