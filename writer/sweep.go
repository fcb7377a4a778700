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
// none, and whether only this user can have changed what is in it.
func (d *Dir) generation() (gen string, trusted bool, err error) {
	data := own(dataName, d.spec.Set)
	gen, err = d.fs.Readlink(data)
	if absent(err) || errors.Is(err, syscall.EINVAL) {
		return "", false, nil // nothing, or no link
	}
	if err != nil {
		return "", false, failed("read link", data, err)
	}
	if !d.isOwn(gen, genName) {
		return "", false, nil
	}
	s, err := d.fs.Lstat(gen)
	if absent(err) || err == nil && !s.isDir() {
		return "", false, nil
	}
	return gen, d.ours(s), failed("look at", gen, err)
}

// ours reports whether something that has one of our names was made by this user,
// or given by it to the output's owner, and can be changed by no other user. Where
// files have no owners there is no telling.
func (d *Dir) ours(s stat) bool {
	return s.uid < 0 || d.lock.plain || s.mode&0o022 == 0 && (s.uid == ownUID || d.dirRights.uid >= 0 && s.uid == d.dirRights.uid)
}

// othersData returns the directory that "..data" leads to, if that is what another
// program publishes in the same way, as a Kubernetes volume is.
func (d *Dir) othersData() string {
	data := own(dataName, d.spec.Set)
	target, err := d.fs.Readlink(data)
	if err != nil || strings.Contains(target, "/") || d.isOwn(target, genName) || target == "." || target == ".." {
		return ""
	}
	link, err := d.fs.Lstat(data)
	if err != nil || link.uid > 0 && link.uid != ownUID {
		return "" // planted
	}
	if s, err := d.fs.Lstat(target); err != nil || !s.isDir() {
		return ""
	}
	return target
}

// checkData keeps away from what another program publishes here.
func (d *Dir) checkData() error {
	others := d.othersData()
	switch {
	case others == "" || d.mode != ModeSymlink:
		return nil
	case d.spec.Publish != "":
		return fmt.Errorf("%s leads to %s, which another program publishes: give the output a directory of its own, or set publish = %q", own(dataName, d.spec.Set), others, ModeRename)
	}
	d.log.Info("another program publishes here through the same link; publishing file by file", "link", own(dataName, d.spec.Set), "leads_to", others)
	d.mode = ModeRename
	return nil
}

// checkLinks finds out whether symbolic links can be made, if there is none yet.
func (d *Dir) checkLinks() error {
	if gen, _, err := d.generation(); d.mode != ModeSymlink || gen != "" || err != nil {
		return err
	}
	name, err := d.makeNew(tempName, 0, func(name string) error { return d.fs.Symlink("..", name) })
	if err == nil {
		return failed("remove", name, d.fs.Remove(name))
	}
	if d.spec.Publish == "" && cannotLink(err) {
		d.log.Info("cannot make symbolic links here; publishing file by file", "error", err)
		d.mode = ModeRename
		return nil
	}
	return fmt.Errorf("cannot make symbolic links here, set publish = %q: %w", ModeRename, failed("link", name, err))
}

// sweep clears what earlier runs of this set left: generations that are not
// current, temporary names, and what sweepLinks clears.
func (d *Dir) sweep() error {
	gen, _, err := d.generation()
	if err != nil {
		return err
	}
	if err := d.sweepLinks(); err != nil {
		return err
	}
	entries, err := d.fs.ReadDir(".")
	if err != nil {
		return failed("read directory", ".", err)
	}
	for _, name := range entries {
		leads := name == own(dataName, d.spec.Set) && (gen != "" || d.othersData() != "")
		if name != gen && !leads && d.isOwn(name, dataName, genName, tempName, commitName) {
			d.cleared(name, d.fs.RemoveAll(name))
		}
	}
	if i := strings.LastIndexByte(gen, '-'); i >= 0 {
		n, _ := strconv.Atoi(gen[i+1:])
		d.number = n + 1
	}
	return nil
}

// sweepLinks removes the visible links of this set that lead nowhere, and the
// directories that were made for them.
func (d *Dir) sweepLinks() error {
	gen, _, err := d.generation()
	if err != nil || d.othersData() != "" {
		return err
	}
	dirs, err := d.usedDirs()
	if err != nil {
		return err
	}
	for _, dir := range append(slices.Clone(dirs), ".") {
		if s, err := d.fs.Lstat(dir); err != nil || !s.isDir() || d.led(dir) {
			continue
		}
		entries, err := d.fs.ReadDir(dir)
		if err != nil {
			return failed("read directory", dir, err)
		}
		for _, e := range entries {
			name := path.Join(dir, e)
			if strings.HasPrefix(e, "..") || !d.linked(name) {
				continue
			}
			if _, err := d.fs.Lstat(path.Join(gen, name)); gen != "" && !errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err := d.fs.Remove(name); err != nil {
				return failed("remove", name, err)
			}
		}
	}
	for _, dir := range slices.Backward(dirs) {
		d.fs.Remove(dir) // which fails, rightly, while there is something in it
	}
	return nil
}

// usedDirs returns the directories in which visible names lie or lay, parents
// first: those of every generation that is there, and of the list of names.
func (d *Dir) usedDirs() ([]string, error) {
	entries, err := d.fs.ReadDir(".")
	if err != nil {
		return nil, failed("read directory", ".", err)
	}
	record, err := d.readRecord(own(recordName, d.spec.Set))
	if err != nil {
		return nil, err
	}
	dirs := dirsOf(recorded(record))
	for _, e := range entries {
		s, err := d.fs.Lstat(e)
		if err != nil || !d.isOwn(e, genName) || !s.isDir() || !d.ours(s) {
			continue
		}
		err = d.walkAll(e, func(name string, isDir bool) {
			if isDir && CheckName(name) == nil {
				dirs = append(dirs, name)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}
