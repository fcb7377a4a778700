package writer

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"syscall"
	"time"
)

// publishSymlink publishes a whole set in one rename:
//
//  1. Make a directory for the new generation beside the current one.
//  2. Share what has not changed with the current generation by hard links.
//  3. Make the visible names that are not there yet. They lead through "..data"
//     and thus nowhere until step 6.
//  4. Create every other file with no rights for other users, write it, set its
//     owner, then its mode.
//  5. Sync the files and the directories, several at a time.
//  6. Rename a new link over "..data". The new set is visible, whole.
//  7. Replace visible names under which something else stood. Sync, then remove the
//     visible names that are not in the set any more.
//  8. The caller goes on. Later, the directories are synced, and a second after
//     that the previous generation is removed.
//
// Until step 6 a crash leaves the old set, from then on the new one. A failure
// until then removes the new generation and the new names. After that, the next
// publish completes what is missing.
//
// Files that stand under visible names and come from another program are first
// taken into a generation of their own, so that they too change in step 6.
func (t *transaction) publishSymlink() error {
	t.watch.pause(t.Dir)
	if err := t.adopt(); err != nil {
		return err
	}
	if len(t.write)+len(t.gone) > 0 {
		if err := t.newSet(); err != nil {
			return err
		}
	}
	t.says()
	for _, name := range t.relink { // (7)
		if t.linked(name) {
			continue
		}
		if _, err := t.makeParents(name); err != nil {
			return err
		}
		if err := t.placeLink(linkTarget(name, t.spec.Set), name); err != nil {
			return err
		}
	}
	return t.removeNames()
}

// newSet is steps 1 to 6.
func (t *transaction) newSet() (err error) {
	gen, err := t.newGeneration() // (1)
	if err != nil {
		return err
	}
	var made []string // visible names and their directories
	defer func() {
		if err != nil {
			for _, name := range slices.Backward(made) {
				t.fs.Remove(name)
			}
			err = errors.Join(err, failed("remove", gen, t.fs.RemoveAll(gen)))
		}
	}()
	for _, dir := range t.plan.dirs {
		if err := t.mkdir(path.Join(gen, dir)); err != nil {
			return err
		}
	}
	write, err := t.shareInto(gen) // (2)
	if err != nil {
		return err
	}
	for _, name := range t.relink { // (3)
		dirs, err := t.makeParents(name)
		made = append(made, dirs...)
		if err != nil {
			return err
		}
		switch err := t.fs.Symlink(linkTarget(name, t.spec.Set), name); {
		case err == nil:
			made = append(made, name)
		case !errors.Is(err, fs.ErrExist):
			return failed("link", name, err)
		}
	}
	sync := append(below(gen, t.plan.dirs), ".")
	if err := t.writeAll(gen, write, append(sync, dirsOf(made)...)); err != nil { // (4) (5)
		return err
	}
	return t.flip(gen) // (6)
}

// shareInto is step 2. It returns what is to be written.
func (t *transaction) shareInto(gen string) (write []item, err error) {
	write = slices.Clone(t.write)
	written := make(map[string]bool, len(write))
	for _, it := range write {
		written[it.Name] = true
	}
	for i, f := range t.plan.files {
		if written[f.Name] {
			continue
		}
		err := t.fs.Link(path.Join(t.have.gen, f.Name), path.Join(gen, f.Name))
		if cannotLink(err) {
			write = append(write, item{f, t.have.at(i, f.Name).rights})
		} else if err != nil {
			return nil, failed("link", path.Join(gen, f.Name), err)
		}
	}
	for _, h := range t.plan.kept {
		if !h.inside {
			continue
		}
		if err := t.fs.Link(path.Join(t.have.gen, h.Name), path.Join(gen, h.Name)); err != nil {
			return nil, failed("link", path.Join(gen, h.Name), err)
		}
	}
	return write, nil
}

// cannotLink reports whether an error is that of a file system that cannot make
// this hard link, or will not; writing the file again can do what it would.
func cannotLink(err error) bool {
	return slices.ContainsFunc(linkErrors, func(target error) bool { return errors.Is(err, target) })
}

// flip is step 6: it makes a generation the current one.
func (t *transaction) flip(gen string) error {
	if err := t.placeLink(gen, own(dataName, t.spec.Set)); err != nil {
		return err
	}
	t.says()
	t.changedDir(".")
	if t.have.gen != "" {
		t.retire(t.have.gen)
	}
	t.have.gen, t.have.trusted = gen, true
	return nil
}

// adopt takes regular files that stand under visible names into a generation, and
// puts links in their place: a reader sees the same bytes. What cannot be linked is
// replaced in step 7.
func (t *transaction) adopt() error {
	strangers := slices.DeleteFunc(slices.Clone(t.relink), func(name string) bool {
		h := t.have.at(0, name)
		s, err := t.fs.Lstat(name)
		return h != nil && h.inside || err != nil || !s.regular() || t.led(name)
	})
	if len(strangers) == 0 {
		return nil
	}
	gen, err := t.newGeneration()
	if err != nil {
		return err
	}
	from := map[string]string{} // name to where its file is
	for _, h := range t.have.files {
		if h.inside {
			from[h.Name] = path.Join(t.have.gen, h.Name)
		}
	}
	for _, name := range strangers {
		from[name] = name
	}
	dirs := dirsOf(slices.Collect(maps.Keys(from)))
	if err := t.fillFrom(gen, dirs, from); err != nil {
		err = errors.Join(err, failed("remove", gen, t.fs.RemoveAll(gen)))
		if cannotLink(err) {
			return nil
		}
		return err
	}
	change := t.change // nothing of it is visible yet
	t.change = Change{}
	err = t.flip(gen)
	t.change, t.visible = change, false
	if err != nil {
		return errors.Join(err, failed("remove", gen, t.fs.RemoveAll(gen)))
	}
	if err := t.syncDirs([]string{"."}); err != nil {
		return err
	}
	for _, name := range strangers {
		if err := t.placeLink(linkTarget(name, t.spec.Set), name); err != nil {
			return err
		}
	}
	return nil
}

// fillFrom links files into a generation, and syncs it.
func (t *transaction) fillFrom(gen string, dirs []string, from map[string]string) error {
	for _, dir := range dirs {
		if err := t.mkdir(path.Join(gen, dir)); err != nil {
			return err
		}
	}
	for name, source := range from {
		if err := t.fs.Link(source, path.Join(gen, name)); err != nil {
			return failed("link", path.Join(gen, name), err)
		}
	}
	return t.syncDirs(append(below(gen, dirs), "."))
}

// placeLink puts a link to target under a name, whatever stands there, in one
// rename.
func (d *Dir) placeLink(target, name string) error {
	temp, err := d.makeNew(tempName, 0, func(temp string) error {
		return failed("link", temp, d.fs.Symlink(target, temp))
	})
	if err != nil {
		return err
	}
	if err := d.fs.Rename(temp, name); err != nil {
		return errors.Join(failed("rename to", name, err), failed("remove", temp, d.fs.Remove(temp)))
	}
	d.changedDir(path.Dir(name))
	return nil
}

// makeParents makes the directories that a visible name lies in, and returns those
// that it made. A link that stands there is not followed but replaced.
func (d *Dir) makeParents(name string) (made []string, err error) {
	for _, dir := range dirsOf([]string{name}) {
		s, err := d.fs.Lstat(dir)
		if err == nil && s.isDir() {
			continue
		}
		if err == nil && s.isLink() {
			if err := d.fs.Remove(dir); err != nil {
				return made, failed("remove", dir, err)
			}
		} else if err != nil && !absent(err) {
			return made, failed("look at", dir, err)
		}
		if err := d.mkdir(dir); err != nil {
			return made, err
		}
		made = append(made, dir)
		d.changedDir(path.Dir(dir))
	}
	return made, nil
}

// removeNames is the end of step 7: it removes the visible names that are not
// wanted any more, the directories that only they were in, and every previous
// generation, which can hold what is withdrawn.
func (t *transaction) removeNames() error {
	if len(t.gone) == 0 {
		return nil
	}
	if err := t.sync(); err != nil {
		return err
	}
	for _, h := range t.gone {
		if t.led(h.Name) {
			continue
		}
		target, err := t.fs.Readlink(h.Name)
		if err != nil && !absent(err) && !errors.Is(err, syscall.EINVAL) { // which is no link
			return failed("read link", h.Name, err)
		}
		if err == nil && target != linkTarget(h.Name, t.spec.Set) || err != nil && h.inside {
			continue // another program's by now
		}
		if err := t.fs.Remove(h.Name); err != nil && !absent(err) {
			return failed("remove", h.Name, err)
		}
		t.changedDir(path.Dir(h.Name))
	}
	if err := t.removeDirs(); err != nil {
		return err
	}
	t.tidy(time.Time{}) // all of them
	return nil
}

// led reports whether the way to a visible name leads through a link. It is
// another program's then, and so is what it leads to.
func (d *Dir) led(name string) bool {
	for _, dir := range dirsOf([]string{name}) {
		if s, err := d.fs.Lstat(dir); err == nil && !s.isDir() {
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
		if names, err := t.fs.ReadDir(dir); err != nil || len(names) > 0 {
			continue // another program's by now
		}
		if err := t.fs.Remove(dir); err != nil {
			return failed("remove", dir, err)
		}
		t.changedDir(path.Dir(dir))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
