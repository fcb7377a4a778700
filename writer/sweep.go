package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// generation returns the current generation's directory, or nothing if there is
// none that can be trusted.
func (d *Dir) generation() (string, error) {
	gen, err := d.fs.Readlink(dataName)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) {
		return "", nil // nothing, or no link
	}
	if err != nil {
		return "", failed("read link", dataName, err)
	}
	if !strings.HasPrefix(gen, genPrefix) || strings.Contains(gen, "/") {
		return "", nil
	}
	info, err := d.fs.Lstat(gen)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", failed("look at", gen, err)
	}
	if !info.IsDir() || !d.ours(info) {
		return "", nil
	}
	return gen, nil
}

// ours reports whether something that has one of our names was made by this
// user, or given by it to the output's owner, and can be changed by nobody else.
func (d *Dir) ours(info fs.FileInfo) bool {
	uid, _, known := ownerOf(info)
	return !known || info.Mode()&0o022 == 0 && (uid == ownUID || d.dirRights.uid >= 0 && uid == d.dirRights.uid)
}

// checkLinks finds out whether symbolic links can be made, if there is none yet.
func (d *Dir) checkLinks() error {
	if gen, err := d.generation(); d.mode != ModeSymlink || gen != "" || err != nil {
		return err
	}
	name, err := makeNew(tempPrefix, 0, func(name string) error { return d.fs.Symlink("..", name) })
	if err != nil {
		return fmt.Errorf("cannot make symbolic links here, set publish = %q: %w", ModeRename, failed("link", name, err))
	}
	return failed("remove", name, d.fs.Remove(name))
}

// sweep clears what earlier runs left: generations that are not current,
// temporary names, and visible names that lead nowhere.
func (d *Dir) sweep() error {
	gen, err := d.generation()
	if err != nil {
		return err
	}
	entries, err := d.fs.ReadDir(".")
	if err != nil {
		return failed("read directory", ".", err)
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, "..") || name == lockName || name == recordName || gen != "" && (name == gen || name == dataName) {
			continue
		}
		if err := d.fs.RemoveAll(name); err != nil {
			d.log.Warn("cannot clear what an earlier run left", "output", d.output.Dir, "error", failed("remove", name, err))
		}
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(gen, genPrefix)); err == nil && n >= 0 {
		d.number = n + 1
	}
	return d.sweepBelow(".")
}

// sweepBelow removes links of ours that lead nowhere and, in directories below,
// temporary names and what is empty then.
func (d *Dir) sweepBelow(dir string) error {
	entries, err := d.fs.ReadDir(dir)
	if err != nil {
		return failed("read directory", dir, err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".."):
			if dir != "." && strings.HasPrefix(e.Name(), tempPrefix) {
				d.fs.RemoveAll(name)
			}
		case e.IsDir() && d.output.hasDir(name):
			if err := d.sweepBelow(name); err != nil {
				return err
			}
			d.fs.Remove(name) // which it is not while there is something in it
		case e.Type()&fs.ModeSymlink != 0:
			target, err := d.fs.Readlink(name)
			if err != nil || target != linkTarget(name) {
				continue
			}
			if _, err := d.fs.Lstat(path.Join(dataName, name)); errors.Is(err, fs.ErrNotExist) {
				if err := d.fs.Remove(name); err != nil {
					return failed("remove", name, err)
				}
			}
		}
	}
	return nil
}
