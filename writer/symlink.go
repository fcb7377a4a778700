package writer

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
)

// The names that are ours. Temporary names and generations are numbered.
const (
	dataName   = "..data"  // the link to the current generation
	genPrefix  = "..gen-"  // generations
	tempPrefix = "..temp-" // links and files on their way to a visible name
)

// publishSymlink publishes a whole set in one rename:
//
//  1. Make a directory for the new generation beside the current one.
//  2. Share what has not changed with the current generation by hard links.
//  3. Create every other file with no rights for anybody else, write it, set
//     its owner, then its mode.
//  4. Sync the files and the directories, several at a time.
//  5. Make the visible names that are not there yet. They lead through "..data"
//     and thus nowhere until step 6. A regular file that has such a name is
//     first taken into the current generation, so that its readers see no
//     change before the others do.
//  6. Rename a new link over "..data". The new set is visible, whole.
//  7. Remove the visible names that are not in the set any more, and sync the
//     directory.
//  8. Retire the previous generation: it is removed a second later.
//
// Until step 6 a crash leaves the old set, from then on the new one. A failure
// at any step undoes those before it.
func (t *transaction) publishSymlink() error {
	if len(t.write)+len(t.gone) == 0 {
		return t.relinkOnly()
	}
	gen, err := t.makeGeneration() // (1) to (4)
	if err != nil {
		return err
	}
	late, err := t.linkNames() // (5)
	if err != nil {
		return err
	}
	t.keeper.watch(below(gen, t.plan.dirs)...)
	t.onFailure(func() error { t.keeper.unwatch(below(gen, t.plan.dirs)...); return nil })
	if err := t.flip(gen); err != nil { // (6)
		return err
	}
	for _, name := range late {
		if err := t.replaceName(name); err != nil {
			return err
		}
	}
	if err := t.removeNames(); err != nil { // (7)
		return err
	}
	if err := t.syncParents(t.relink); err != nil {
		return err
	}
	t.keeper.watch(dirsOf(t.relink)...)
	t.retire(gen) // (8)
	return nil
}

// relinkOnly repairs visible names when the generation itself is whole.
func (t *transaction) relinkOnly() error {
	for _, name := range t.relink {
		if err := t.relinkName(name); err != nil {
			return err
		}
	}
	return t.syncParents(t.relink)
}

// flip makes a generation the current one.
func (t *transaction) flip(gen string) error {
	old := t.have.gen
	if err := t.pointData(gen); err != nil {
		return err
	}
	t.onFailure(func() error {
		if old != "" {
			return t.pointData(old)
		}
		return failed("remove", dataName, t.fs.Remove(dataName))
	})
	return nil
}

// pointData renames a new link over "..data".
func (t *transaction) pointData(gen string) error {
	return t.placeLink(gen, dataName)
}

// placeLink puts a link to target under a name, whatever stands there, in one
// rename.
func (t *transaction) placeLink(target, name string) error {
	temp, err := makeNew(path.Join(path.Dir(name), tempPrefix), 0, func(temp string) error {
		return failed("link", temp, t.fs.Symlink(target, temp))
	})
	if err != nil {
		return err
	}
	if err := t.fs.Rename(temp, name); err != nil {
		return errors.Join(failed("rename to", name, err), failed("remove", temp, t.fs.Remove(temp)))
	}
	return nil
}

// linkNames makes the visible names of step 5. It returns those that can only
// be made when the new generation is visible, because something else stands
// there.
func (t *transaction) linkNames() (late []string, err error) {
	for _, name := range t.relink {
		if err := t.makeParents(name); err != nil {
			return nil, err
		}
		info, err := t.fs.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := t.fs.Symlink(linkTarget(name), name); err != nil {
				return nil, failed("link", name, err)
			}
			t.onFailure(func() error { return failed("remove", name, t.fs.Remove(name)) })
		case err != nil:
			return nil, failed("look at", name, err)
		case info.Mode().IsRegular() && !t.have.files[name].shared:
			adopted, err := t.adopt(name)
			if err != nil {
				return nil, err
			}
			if !adopted {
				late = append(late, name)
			}
		default:
			late = append(late, name)
		}
	}
	return late, nil
}

// relinkName replaces whatever stands under a visible name by its link.
func (t *transaction) relinkName(name string) error {
	if err := t.makeParents(name); err != nil {
		return err
	}
	return t.placeLink(linkTarget(name), name)
}

// replaceName is relinkName for what can be put back, if it is a link.
func (t *transaction) replaceName(name string) error {
	target, err := t.fs.Readlink(name)
	if err != nil {
		return t.relinkName(name)
	}
	if err := t.relinkName(name); err != nil {
		return err
	}
	t.onFailure(func() error { return t.placeLink(target, name) })
	return nil
}

// adopt takes a regular file that stands under a visible name into the current
// generation, and puts the link in its place: a reader sees the same bytes.
func (t *transaction) adopt(name string) (bool, error) {
	if t.have.gen == "" {
		gen, err := makeNew(genPrefix, t.number, t.mkdir)
		if err != nil {
			return false, err
		}
		t.onFailure(func() error { return failed("remove", gen, t.fs.RemoveAll(gen)) })
		if err := t.flip(gen); err != nil {
			return false, err
		}
		t.have.gen = gen
	}
	for _, dir := range dirsOf([]string{name}) {
		if err := t.mkdir(path.Join(t.have.gen, dir)); err != nil && !errors.Is(err, fs.ErrExist) {
			return false, err
		}
	}
	inside := path.Join(t.have.gen, name)
	err := t.fs.Link(name, inside)
	switch {
	case errors.Is(err, fs.ErrExist):
		if !t.sameFile(name, inside) {
			return false, nil
		} // else a crash came right after the link
	case cannotLink(err):
		return false, nil
	case err != nil:
		return false, failed("link", inside, err)
	}
	t.onFailure(func() error { return failed("remove", inside, ignoreMissing(t.fs.Remove(inside))) })
	if err := t.placeLink(linkTarget(name), name); err != nil {
		return false, err
	}
	t.onFailure(func() error { return failed("rename to", name, t.fs.Rename(inside, name)) })
	return true, nil
}

// sameFile reports whether two names are those of one file.
func (d *Dir) sameFile(a, b string) bool {
	one, err := d.fs.Lstat(a)
	if err != nil {
		return false
	}
	other, err := d.fs.Lstat(b)
	return err == nil && os.SameFile(one, other)
}

// makeParents makes the directories that a visible name lies in. A link that
// stands there is not followed but replaced.
func (t *transaction) makeParents(name string) error {
	for _, dir := range dirsOf([]string{name}) {
		info, err := t.fs.Lstat(dir)
		if err == nil && info.IsDir() {
			continue
		}
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if err := t.fs.Remove(dir); err != nil {
				return failed("remove", dir, err)
			}
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return failed("look at", dir, err)
		}
		if err := t.mkdir(dir); err != nil {
			return err
		}
		t.onFailure(func() error { return failed("remove", dir, t.fs.Remove(dir)) })
	}
	return nil
}

// removeNames removes the visible names that are not wanted any more, and the
// directories that only they were in, if nobody else has put something there.
func (t *transaction) removeNames() error {
	files := recorded(t.have.record) // of another mode
	for _, name := range t.gone {
		if t.led(name) {
			continue
		}
		target, err := t.fs.Readlink(name)
		if err != nil && !absent(err) && !errors.Is(err, syscall.EINVAL) { // which is no link
			return failed("read link", name, err)
		}
		if (err != nil || target != linkTarget(name)) && !slices.Contains(files, name) {
			continue // somebody else's by now
		}
		err = t.fs.Remove(name)
		if err != nil && !absent(err) {
			return failed("remove", name, err)
		}
		if err == nil {
			t.onFailure(func() error { return failed("link", name, t.fs.Symlink(linkTarget(name), name)) })
		}
	}
	return t.removeDirs()
}

// led reports whether the way to a visible name leads through a link. It is
// somebody else's then, and so is what it leads to.
func (d *Dir) led(name string) bool {
	for _, dir := range dirsOf([]string{name}) {
		if info, err := d.fs.Lstat(dir); err == nil && !info.IsDir() {
			return true
		}
	}
	return false
}

// removeDirs removes directories that no name lies in any more.
func (t *transaction) removeDirs() error {
	for _, dir := range slices.Backward(t.have.dirs) {
		if slices.Contains(t.plan.dirs, dir) {
			continue
		}
		if entries, err := t.fs.ReadDir(dir); err != nil || len(entries) > 0 {
			continue // somebody else's by now
		}
		if err := t.fs.Remove(dir); err != nil {
			return failed("remove", dir, err)
		}
		t.onFailure(func() error { return t.mkdir(dir) })
	}
	return nil
}

// syncParents syncs the directories in which visible names came or went.
func (t *transaction) syncParents(came []string) error {
	for _, dir := range append(dirsOf(slices.Concat(came, t.gone)), ".") {
		if dir != "." && !slices.Contains(t.plan.dirs, dir) {
			continue // removed
		}
		if err := t.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
