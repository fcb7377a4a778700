package writer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// recover finishes a publish that a crash cut short after it was decided.
func (d *Dir) recover() error {
	info, err := d.fs.Lstat(commitName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failed("look at", commitName, err)
	}
	if !info.IsDir() || !d.ours(info) {
		return nil // not ours: sweep clears it
	}
	d.log.Info("finishing a publish that was cut short", "output", d.spec.Dir)
	names, err := d.walk(commitName)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == recordName || strings.HasPrefix(name, oldName+"/") || CheckName(name) != nil {
			continue
		}
		if err := d.recoverFile(name); err != nil {
			return err
		}
	}
	if err := d.recoverRecord(); err != nil {
		return err
	}
	if err := d.syncDir("."); err != nil {
		return err
	}
	return failed("remove", commitName, d.fs.RemoveAll(commitName))
}

// recoverRecord is steps 5 and 6 of a publish that was cut short.
func (d *Dir) recoverRecord() error {
	now, err := d.readRecord(path.Join(commitName, recordName))
	if err != nil || now == "" {
		return err
	}
	before, err := d.readRecord(recordName)
	if err != nil {
		return err
	}
	kept := recorded(now)
	gone := slices.DeleteFunc(recorded(before), func(name string) bool { return slices.Contains(kept, name) })
	for _, name := range gone {
		if err := d.fs.Remove(name); err != nil && !absent(err) {
			return failed("remove", name, err)
		}
	}
	for _, dir := range slices.Backward(dirsOf(gone)) {
		d.fs.Remove(dir) // which fails, rightly, while there is something in it
	}
	return failed("rename to", recordName, d.fs.Rename(path.Join(commitName, recordName), recordName))
}

// recoverFile is step 4 for a file of a publish that was cut short.
func (d *Dir) recoverFile(name string) error {
	t := &transaction{Dir: d, plan: &plan{}}
	if d.mode == ModeInPlace {
		it, err := d.readStaged(name)
		if err != nil {
			return err
		}
		if done, err := t.overwrite(it); done || err != nil {
			return err
		}
	}
	if err := t.makeParents(name); err != nil {
		return err
	}
	return failed("rename to", name, d.fs.Rename(path.Join(commitName, name), name))
}

// readStaged reads a file of a publish that was cut short.
func (d *Dir) readStaged(name string) (item, error) {
	from := path.Join(commitName, name)
	f, err := d.fs.OpenFile(from, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return item{}, failed("open", from, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return item{}, failed("look at", from, err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return item{}, failed("read", from, err)
	}
	return item{File{Name: name, Data: data}, rightsOf(info)}, nil
}
