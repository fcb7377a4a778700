package writer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// openDir opens the directory of an output, and says whether it had to be made.
func openDir(dir string) (r *root, p place, created bool, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		created = true
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, p, false, failed("create directory", dir, err)
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, p, false, err
	}
	if r, err = openRoot(abs); err != nil {
		return nil, p, false, failed("open directory", dir, err)
	}
	return r, place{path: abs}, created, nil
}
