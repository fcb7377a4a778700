package writer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
)

// publishFiles publishes file by file, in the modes rename and in-place:
//
//  1. Make a directory and write every changed file into it, with its rights,
//     and the list of all names if there are others. Sync them, several at a
//     time.
//  2. Rename the directory to "..commit", and sync. From here on, the publish is
//     completed, by the next one or the next Open if it must be.
//  3. Make the directories that files are to lie in, and sync. Replace each file:
//     in rename mode by renaming the new one over it, in in-place mode by
//     overwriting it.
//  4. Remove the files that are not in the set any more.
//  5. Put the list of names in its place, and sync the directories.
//  6. Rename "..commit" away, and remove it.
//
// In in-place mode the directory itself may be closed to the helper; then the files
// are overwritten without steps 1, 2, 5 and 6, and a crash between two of them is
// not mended before the next publish.
func (t *transaction) publishFiles() error {
	t.watch.pause(t.Dir)
	if t.mode == ModeInPlace && canWrite(t.path) != nil {
		return t.publishClosed()
	}
	if err := t.stage(); err != nil { // (1) (2)
		return err
	}
	t.says()
	if err := t.finish(t.write, heldNames(t.gone)); err != nil { // (3) to (6)
		return err
	}
	return t.leaveLinks()
}

// publishClosed overwrites the files of a directory in which nothing can be made.
func (t *transaction) publishClosed() error {
	t.says()
	t.record = t.have.record
	for _, it := range t.write {
		switch done, err := t.overwrite(it); {
		case err != nil:
			return err
		case !done:
			return fmt.Errorf("create %s: it does not exist yet, and nothing can be created in the directory", it.Name)
		}
	}
	for _, h := range t.gone {
		if err := t.removeFile(h.Name); err != nil {
			return err
		}
	}
	return nil
}

// stage is steps 1 and 2. What fails leaves nothing behind.
func (t *transaction) stage() (err error) {
	private := func(name string) error { return t.mkdirFor(name, rights{0o700, -1, -1}) }
	stage, err := t.makeNew(genName, t.number, private)
	t.number++
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, failed("remove", stage, t.fs.RemoveAll(stage)))
		}
	}()
	write := t.write
	dirs := below(stage, dirsOf(itemNames(write)))
	for _, dir := range dirs[1:] {
		if err := private(dir); err != nil {
			return err
		}
	}
	if t.record != t.have.record {
		list := item{File{Name: recordName, Data: []byte(t.record)}, rights{0o600, -1, -1}}
		write = append(slices.Clone(write), list)
	}
	if err := t.writeAll(stage, write, append(dirs, ".")); err != nil {
		return err
	}
	commit := own(commitName, t.spec.Set)
	err = taken(t.fs.Rename(stage, commit))
	if errors.Is(err, fs.ErrExist) { // what another program put there
		if err := t.fs.RemoveAll(commit); err != nil {
			return failed("remove", commit, err)
		}
		err = t.fs.Rename(stage, commit)
	}
	if err != nil {
		return failed("rename to", commit, err)
	}
	stage = commit
	return t.syncDirs([]string{"."})
}

// recover completes a publish that was decided and not finished.
func (d *Dir) recover() error {
	commit := own(commitName, d.spec.Set)
	s, err := d.fs.Lstat(commit)
	if absent(err) {
		return nil
	}
	if err != nil {
		return failed("look at", commit, err)
	}
	if !s.isDir() || !d.ours(s) {
		return nil // the next publish removes it
	}
	d.log.Info("completing a publish that was cut short")
	names, err := d.walk(commit)
	if err != nil {
		return err
	}
	var items []item
	for _, name := range names {
		if CheckName(name) == nil {
			items = append(items, item{File: File{Name: name}})
		}
	}
	now, err := d.readRecord(path.Join(commit, recordName))
	if err != nil {
		return err
	}
	var gone []string
	if now != "" {
		before, err := d.readRecord(own(recordName, d.spec.Set))
		if err != nil {
			return err
		}
		kept := recorded(now)
		gone = slices.DeleteFunc(recorded(before), func(name string) bool { return slices.Contains(kept, name) })
	}
	return d.finish(items, gone)
}

// finish is steps 3 to 6. An item without bytes has those of the file in "..commit".
func (d *Dir) finish(items []item, gone []string) error {
	commit := own(commitName, d.spec.Set)
	var parents []string
	for _, it := range items {
		made, err := d.makeParents(it.Name)
		if err != nil {
			return err
		}
		for _, dir := range made {
			parents = append(parents, path.Dir(dir))
		}
	}
	if err := d.syncDirs(parents); err != nil {
		return err
	}
	for _, it := range items { // (3)
		if err := d.replace(path.Join(commit, it.Name), it); err != nil {
			return err
		}
	}
	for _, name := range gone { // (4)
		if err := d.removeFile(name); err != nil {
			return err
		}
	}
	for _, dir := range slices.Backward(dirsOf(gone)) {
		d.fs.Remove(dir) // which fails, rightly, while there is something in it
	}
	err := d.fs.Rename(path.Join(commit, recordName), own(recordName, d.spec.Set)) // (5)
	if err != nil && !absent(err) {
		return failed("rename to", recordName, err)
	}
	if err := d.syncDirs(append(dirsOf(slices.Concat(itemNames(items), gone)), ".")); err != nil {
		return err
	}
	trash, err := d.makeNew(genName, d.number, func(name string) error { // (6)
		return taken(failed("rename to", name, d.fs.Rename(commit, name)))
	})
	d.number++
	if err != nil {
		return err
	}
	d.cleared(trash, d.fs.RemoveAll(trash))
	return nil
}

// replace is step 3 for one file.
func (d *Dir) replace(from string, it item) (err error) {
	if d.mode == ModeInPlace {
		if it.Data == nil {
			if it, err = d.readStaged(from, it.Name); err != nil {
				return err
			}
		}
		if done, err := d.overwrite(it); done || err != nil {
			return err
		}
	}
	return failed("rename to", it.Name, d.fs.Rename(from, it.Name))
}

// readStaged reads a file that is to be overwritten with. Whether it has the
// helper's own user and group because they were configured is not known; the file
// that is overwritten keeps its own.
func (d *Dir) readStaged(from, name string) (item, error) {
	f, err := d.fs.OpenFile(from, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return item{}, failed("open", from, err)
	}
	defer f.Close()
	s, err := f.Stat()
	if err != nil {
		return item{}, failed("look at", from, err)
	}
	r := rights{s.mode.Perm(), s.uid, s.gid}
	if r.uid == ownUID {
		r.uid = -1
	}
	if r.gid == d.newGID {
		r.gid = -1
	}
	data, err := io.ReadAll(f)
	return item{File{Name: name, Data: data}, r}, failed("read", from, err)
}

// removeFile is step 4 for one name.
func (d *Dir) removeFile(name string) error {
	if d.led(name) {
		return nil
	}
	if target, err := d.fs.Readlink(name); err == nil && target != linkTarget(name, d.spec.Set) {
		return nil // another program's by now
	}
	if d.mode == ModeInPlace {
		return d.removeInPlace(name)
	}
	if err := d.fs.Remove(name); err != nil && !absent(err) {
		return failed("remove", name, err)
	}
	return nil
}

// leaveLinks removes what symlink mode left, once no visible name leads through it
// any more.
func (t *transaction) leaveLinks() error {
	if t.have.gen == "" || slices.ContainsFunc(t.plan.kept, func(h held) bool { return h.linked }) {
		return nil
	}
	data := own(dataName, t.spec.Set)
	if err := t.fs.Remove(data); err != nil && !absent(err) {
		return failed("remove", data, err)
	}
	t.retire(t.have.gen)
	t.have.gen = ""
	return nil
}
