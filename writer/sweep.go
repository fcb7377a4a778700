package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// generation returns the current generation's directory, or nothing if there is
// none that can be trusted.
func (d *Dir) generation() string {
	gen, err := d.fs.Readlink(dataName)
	if err != nil || !strings.HasPrefix(gen, genPrefix) || strings.Contains(gen, "/") {
		return ""
	}
	info, err := d.fs.Lstat(gen)
	if err != nil || !info.IsDir() || !d.ours(info) {
		return ""
	}
	return gen
}

// ours reports whether something that has one of our names was made by this
// user, or given by it to the output's owner, and can be changed by nobody else.
func (d *Dir) ours(info fs.FileInfo) bool {
	uid, _, known := ownerOf(info)
	return !known || info.Mode()&0o022 == 0 && (uid == ownUID || d.dirRights.uid >= 0 && uid == d.dirRights.uid)
}

// checkLinks finds out whether symbolic links can be made, if there is none yet.
func (d *Dir) checkLinks() error {
	if d.mode != ModeSymlink || d.generation() != "" {
		return nil
	}
	name, err := makeNew(tempPrefix, 0, func(name string) error { return d.root.Symlink("..", name) })
	if err != nil {
		return fmt.Errorf("cannot make symbolic links here, set publish = %q: %w", ModeRename, failed("link", name, err))
	}
	return failed("remove", name, d.root.Remove(name))
}

// sweep clears what earlier runs left: generations that are not current,
// temporary names, and visible names that lead nowhere.
func (d *Dir) sweep() error {
	gen := d.generation()
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

// sweepBelow removes links of ours that lead nowhere, and temporary names in
// directories below.
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
