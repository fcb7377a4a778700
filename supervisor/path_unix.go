//go:build linux || darwin

package supervisor

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lookPath returns the file to execute, found as a shell in Dir finds it: a name
// without a separator through the process's PATH, anything else as it is.
func (spec *Spec) lookPath() (string, error) {
	name := spec.Command[0]
	if strings.ContainsRune(name, filepath.Separator) {
		return name, executable(spec.inDir(name))
	}
	var denied error
	for _, dir := range filepath.SplitList(spec.variable("PATH")) {
		path := spec.inDir(filepath.Join(cmp.Or(dir, "."), name))
		if _, err := os.Stat(path); err != nil {
			continue // not there, or where we cannot look
		}
		if err := executable(path); err == nil {
			return path, nil
		} else if denied == nil {
			denied = err
		}
	}
	return "", cmp.Or[error](denied, &fs.PathError{Op: "find in PATH", Path: name, Err: fs.ErrNotExist})
}

// inDir returns path as it is seen from the helper's own directory.
func (spec *Spec) inDir(path string) string {
	if filepath.IsAbs(path) || spec.Dir == "" {
		return path
	}
	return filepath.Join(spec.Dir, path)
}

// executable reports why no user can execute path, if so. Whether the
// process's user may execute it only the attempt can tell.
func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return &fs.PathError{Op: "execute", Path: path, Err: fs.ErrNotExist}
	case err != nil:
		return err
	case info.IsDir():
		return &fs.PathError{Op: "execute", Path: path, Err: errors.New("is a directory")}
	case info.Mode()&0o111 == 0:
		return &fs.PathError{Op: "execute", Path: path, Err: fs.ErrPermission}
	}
	return nil
}
