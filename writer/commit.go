package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

const (
	// commitName is a publish that has been decided and may not be finished.
	commitName = "..commit"
	// oldName is what it replaces, inside it.
	oldName = "..old"
)

// publishFiles publishes file by file, in the modes rename and in-place:
//
//  1. Make a directory and write every changed file into it, with its rights,
//     and the list of all names if there are others. Sync them, several at a
//     time.
//  2. Link what these files replace into the same directory, to undo with.
//  3. Rename the directory to "..commit", and sync. From here on, a publish
//     that a crash cuts short is finished by the next Open.
//  4. Replace each file: in rename mode by renaming a link to the new one over
//     it, in in-place mode by overwriting it.
//  5. Remove the files that are not in the set any more.
//  6. Put the list of names in its place, and sync the directories.
//  7. Rename "..commit" away, and have it removed.
//
// A failure at any step undoes those before it. In in-place mode the directory
// itself may be closed to the helper; then the files are overwritten without
// steps 1, 2, 3, 6 and 7, and a crash between two of them is not mended before
// the next publish.
func (t *transaction) publishFiles() error {
	t.journal = t.mode == ModeRename || canWrite(t.path) == nil
	if t.journal {
		if err := t.prepare(); err != nil { // (1) to (3)
			return err
		}
	}
	for _, it := range t.write { // (4)
		if err := t.replace(it); err != nil {
			return err
		}
	}
	for _, name := range t.gone { // (5)
		if err := t.removeFile(name); err != nil {
			return err
		}
	}
	if err := t.removeDirs(); err != nil {
		return err
	}
	if !t.journal {
		t.record = t.have.record
		return nil
	}
	if err := t.placeRecord(); err != nil { // (6)
		return err
	}
	if err := t.syncParents(itemNames(t.write)); err != nil {
		return err
	}
	if err := t.finish(); err != nil { // (7)
		return err
	}
	t.keeper.watch(t.plan.dirs...)
	t.leaveLinks()
	return nil
}

// prepare is steps 1 to 3.
func (t *transaction) prepare() error {
	stage, err := makeNew(genPrefix, t.number, t.mkdir) // (1)
	if err != nil {
		return err
	}
	t.number++
	staged := true
	t.onFailure(func() error {
		if !staged {
			return nil
		}
		return failed("remove", stage, t.fs.RemoveAll(stage))
	})
	names := itemNames(t.write)
	dirs := below(stage, dirsOf(names))
	dirs = append(dirs, below(path.Join(stage, oldName), dirsOf(slices.Concat(names, t.gone)))...)
	for _, dir := range dirs[1:] {
		if err := t.mkdir(dir); err != nil {
			return err
		}
	}
	write, replaced := slices.Clone(t.write), slices.Concat(names, t.gone)
	if t.record != t.have.record {
		write, replaced = append(write, t.recordItem()), append(replaced, recordName)
	}
	if err := t.writeAll(stage, write, append(dirs[:len(dirs):len(dirs)], ".")); err != nil {
		return err
	}
	for _, name := range replaced { // (2)
		if err := t.backUp(stage, name); err != nil {
			return err
		}
	}
	if err := t.decide(stage); err != nil { // (3)
		return err
	}
	staged = false
	t.onFailure(func() error { return failed("remove", commitName, t.fs.RemoveAll(commitName)) })
	return t.syncDir(".")
}

// decide is step 3 but for the sync. Whatever somebody put in the way goes.
func (t *transaction) decide(stage string) error {
	err := taken(t.fs.Rename(stage, commitName))
	if errors.Is(err, fs.ErrExist) {
		if err := t.fs.RemoveAll(commitName); err != nil {
			return failed("remove", commitName, err)
		}
		err = t.fs.Rename(stage, commitName)
	}
	return failed("rename to", commitName, err)
}

// recordItem is the list of names as a file.
func (t *transaction) recordItem() item {
	return item{File{Name: recordName, Data: []byte(t.record)}, rights{0o600, -1, -1}}
}

// backUp links what stands under a name into the directory being prepared. What
// cannot be linked cannot be put back.
func (t *transaction) backUp(stage, name string) error {
	if t.led(name) {
		return nil
	}
	saved := path.Join(stage, oldName, name)
	err := t.fs.Link(name, saved)
	if err == nil || errors.Is(err, fs.ErrNotExist) || cannotLink(err) {
		return nil
	}
	return failed("link", saved, err)
}

// replace is step 4 for one file.
func (t *transaction) replace(it item) error {
	if t.mode == ModeInPlace {
		if done, err := t.overwrite(it); done || err != nil {
			return err
		}
	}
	if !t.journal {
		return fmt.Errorf("create %s: it does not exist yet, and nothing can be created in the directory", it.Name)
	}
	if err := t.makeParents(it.Name); err != nil {
		return err
	}
	if err := t.placeFile(path.Join(commitName, it.Name), it.Name); err != nil {
		return err
	}
	t.putBack(it.Name)
	return nil
}

// putBack has what was under a name put back when a later step fails.
func (t *transaction) putBack(name string) {
	saved := path.Join(commitName, oldName, name)
	t.onFailure(func() error {
		err := t.fs.Rename(saved, name)
		if errors.Is(err, fs.ErrNotExist) { // nothing was there
			err = ignoreMissing(t.fs.Remove(name))
		}
		return failed("put back", name, err)
	})
}

// placeFile puts a file under another name in one rename. The file stays under
// its own where the file system can link, so that a crash after a failure still
// finds all of them.
func (d *Dir) placeFile(from, name string) error {
	temp, err := makeNew(path.Join(path.Dir(name), tempPrefix), 0, func(temp string) error {
		return d.fs.Link(from, temp)
	})
	if cannotLink(err) {
		return failed("rename to", name, d.fs.Rename(from, name))
	}
	if err != nil {
		return failed("link", temp, err)
	}
	if err := d.fs.Rename(temp, name); err != nil {
		return errors.Join(failed("rename to", name, err), failed("remove", temp, d.fs.Remove(temp)))
	}
	return nil
}

// removeFile is step 5 for one name.
func (t *transaction) removeFile(name string) error {
	if t.led(name) {
		return nil
	}
	if t.mode == ModeInPlace {
		return t.removeInPlace(name)
	}
	err := t.fs.Remove(name)
	if err != nil && !absent(err) {
		return failed("remove", name, err)
	}
	t.putBack(name)
	return nil
}

// placeRecord is step 6.
func (t *transaction) placeRecord() error {
	if t.record == t.have.record {
		return nil
	}
	if err := t.placeFile(path.Join(commitName, recordName), recordName); err != nil {
		return err
	}
	t.putBack(recordName)
	return nil
}

// finish is step 7.
func (t *transaction) finish() error {
	trash, err := makeNew(genPrefix, t.number, func(name string) error {
		return taken(failed("rename to", name, t.fs.Rename(commitName, name)))
	})
	if err != nil {
		return err
	}
	t.number++
	t.keeper.retire(retired{gen: trash}, 0)
	return nil
}

// leaveLinks removes what symlink mode left, once no visible name leads through
// it any more.
func (t *transaction) leaveLinks() {
	if t.have.gen == "" || slices.ContainsFunc(t.kept, func(name string) bool { return t.have.files[name].linked }) {
		return
	}
	if err := t.fs.Remove(dataName); err != nil {
		t.cleared(err)
		return
	}
	t.keeper.retire(retired{gen: t.have.gen}, retirement)
	t.have.gen = ""
}
