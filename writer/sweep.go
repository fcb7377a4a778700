package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
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
	if err == nil {
		return failed("remove", name, d.fs.Remove(name))
	}
	if d.output.Publish == "" && cannotLink(err) {
		d.log.Info("cannot make symbolic links here; publishing file by file", "output", d.output.Dir, "error", err)
		d.mode = ModeRename
		return nil
	}
	return fmt.Errorf("cannot make symbolic links here, set publish = %q: %w", ModeRename, failed("link", name, err))
}

// sweep clears what earlier runs left: generations that are not current,
// temporary names, visible names that lead nowhere, and the directories that were
// made for a generation that never became visible.
func (d *Dir) sweep() error {
	gen, err := d.generation()
	if err != nil {
		return err
	}
	entries, err := d.fs.ReadDir(".")
	if err != nil {
		return failed("read directory", ".", err)
	}
	if gen != "" {
		if names, err := d.walk(gen); err == nil && len(names) == 0 {
			gen = "" // with nothing in it, it is none
		}
	}
	var dirs []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, "..") || name == lockName || name == recordName || gen != "" && (name == gen || name == dataName) {
			continue
		}
		dirs = append(dirs, d.dirsIn(name)...)
		if err := d.fs.RemoveAll(name); err != nil {
			d.log.Warn("cannot clear what an earlier run left", "output", d.output.Dir, "error", failed("remove", name, err))
		}
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(gen, genPrefix)); err == nil && n >= 0 {
		d.number = n + 1
	}
	if err := d.sweepBelow("."); err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		d.fs.Remove(dir) // which fails, rightly, while there is something in it
	}
	return nil
}

// dirsIn returns the directories in a generation of ours, parents first.
func (d *Dir) dirsIn(gen string) []string {
	info, err := d.fs.Lstat(gen)
	if err != nil || !info.IsDir() || !d.ours(info) {
		return nil
	}
	names, err := d.walk(gen)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(dirsOf(names), func(dir string) bool { return CheckName(dir) != nil })
}

// sweepBelow removes links of ours that lead nowhere and, in directories below,
// temporary names.
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
			if err := d.sweepLink(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepLink removes a link of ours that leads nowhere.
func (d *Dir) sweepLink(name string) error {
	if !d.linked(name) {
		return nil
	}
	if _, err := d.fs.Lstat(path.Join(dataName, name)); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return failed("remove", name, d.fs.Remove(name))
}
