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
// Where files have no owners there is no telling.
func (d *Dir) ours(info fs.FileInfo) bool {
	uid, _, known := ownerOf(info)
	return !known || d.lock.plain || info.Mode()&0o022 == 0 && (uid == ownUID || d.dirRights.uid >= 0 && uid == d.dirRights.uid)
}

// ownName reports whether a name in the directory belongs to this package.
// Others that begin with two dots do not: a Kubernetes volume has some.
func ownName(name string) bool {
	switch name {
	case lockName, recordName, dataName, commitName:
		return true
	}
	for _, prefix := range []string{genPrefix, tempPrefix} {
		if number, ok := strings.CutPrefix(name, prefix); ok {
			_, err := strconv.ParseUint(number, 10, 63)
			return err == nil
		}
	}
	return false
}

// othersData returns the directory that "..data" leads to, if that is what
// another program publishes in the same way, as a Kubernetes volume is.
func (d *Dir) othersData() string {
	target, err := d.fs.Readlink(dataName)
	if err != nil || strings.Contains(target, "/") || strings.HasPrefix(target, genPrefix) {
		return ""
	}
	link, err := d.fs.Lstat(dataName)
	if err != nil {
		return ""
	}
	if uid, _, known := ownerOf(link); known && uid != 0 && uid != ownUID {
		return "" // planted
	}
	if info, err := d.fs.Lstat(target); err != nil || !info.IsDir() || target == "." || target == ".." {
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
		return fmt.Errorf("%s leads to %s, which another program publishes: give the output a directory of its own, or set publish = %q", dataName, others, ModeRename)
	}
	d.log.Info("another program publishes here through the same link; publishing file by file", "output", d.spec.Dir, "link", dataName, "leads_to", others)
	d.mode = ModeRename
	return nil
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
	if d.spec.Publish == "" && cannotLink(err) {
		d.log.Info("cannot make symbolic links here; publishing file by file", "output", d.spec.Dir, "error", err)
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
	stays := []string{lockName, recordName}
	switch {
	case gen != "":
		stays = append(stays, gen, dataName)
	case d.othersData() != "":
		stays = append(stays, dataName)
	}
	dirs, err := d.usedDirs(entries)
	if err != nil {
		return err
	}
	for _, dir := range append([]string{"."}, dirs...) {
		if err := d.sweepBelow(dir); err != nil {
			return err
		}
	}
	for _, e := range entries {
		name := e.Name()
		if !ownName(name) || slices.Contains(stays, name) {
			continue
		}
		if err := d.fs.RemoveAll(name); err != nil {
			d.log.Warn("cannot clear what an earlier run left", "output", d.spec.Dir, "error", failed("remove", name, err))
		}
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(gen, genPrefix)); err == nil && n >= 0 {
		d.number = n + 1
	}
	for _, dir := range slices.Backward(dirs) {
		d.fs.Remove(dir) // which fails, rightly, while there is something in it
	}
	return nil
}

// usedDirs returns the directories in which visible names lie or lay, parents
// first: those of every generation that is there, and of the list of names.
func (d *Dir) usedDirs(entries []fs.DirEntry) ([]string, error) {
	record, err := d.readRecord(recordName)
	if err != nil {
		return nil, err
	}
	names := recorded(record)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !ownName(e.Name()) || !info.IsDir() || !d.ours(info) {
			continue
		}
		if inside, err := d.walk(e.Name()); err == nil {
			names = append(names, inside...)
		}
	}
	return slices.DeleteFunc(dirsOf(names), func(dir string) bool { return CheckName(dir) != nil }), nil
}

// sweepBelow removes from a directory links of ours that lead nowhere and, if it
// is below the output's, temporary names.
func (d *Dir) sweepBelow(dir string) error {
	if info, err := d.fs.Lstat(dir); err != nil || !info.IsDir() || d.led(dir) {
		return nil
	}
	entries, err := d.fs.ReadDir(dir)
	if err != nil {
		return failed("read directory", dir, err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".."):
			if dir != "." && strings.HasPrefix(e.Name(), tempPrefix) && ownName(e.Name()) {
				d.fs.RemoveAll(name)
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
	if !d.linked(name) || d.othersData() != "" {
		return nil
	}
	if _, err := d.fs.Lstat(path.Join(dataName, name)); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return failed("remove", name, d.fs.Remove(name))
}
