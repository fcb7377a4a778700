package writer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// openDir opens the directory of an output, and says whether it had to be made.
func openDir(dir string) (r *os.Root, created bool, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		created = true
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, false, failed("create directory", dir, err)
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, false, err
	}
	if r, err = os.OpenRoot(abs); err != nil {
		return nil, false, failed("open directory", dir, err)
	}
	return r, created, nil
}
