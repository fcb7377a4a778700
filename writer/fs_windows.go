package writer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A root is the fsys of a real directory.
type root struct{ *os.Root }

func openRoot(path string) (*root, error) {
	r, err := os.OpenRoot(path)
	return &root{r}, err
}

func (r *root) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := r.Root.OpenFile(filepath.FromSlash(name), flag, perm)
	if err != nil {
		return nil, err // not f, whose nil would be a file
	}
	return openFile{f}, nil
}

// OpenDir is never called: a directory cannot be synced here.
func (r *root) OpenDir(string) (syncer, error) { return nil, errors.ErrUnsupported }

func (r *root) Lstat(name string) (stat, error) { return statOf(r.Root.Lstat(name)) }

func (r *root) ReadDir(name string) (names []string, err error) {
	entries, err := fs.ReadDir(r.FS(), name)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (r *root) Forget(string) {}

type openFile struct{ *os.File }

func (f openFile) Stat() (stat, error) { return statOf(f.File.Stat()) }

// A fileID tells files apart.
type fileID struct{ info fs.FileInfo }

func statOf(info fs.FileInfo, err error) (stat, error) {
	if err != nil {
		return stat{}, err
	}
	return stat{mode: info.Mode(), size: info.Size(), uid: -1, gid: -1, links: 1, id: fileID{info}}, nil
}

// lookAt returns what is known of the file that a path names, link or not.
func lookAt(path string) (stat, error) { return statOf(os.Lstat(path)) }

func (s stat) same(other stat) bool { return os.SameFile(s.id.info, other.id.info) }
