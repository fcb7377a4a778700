package writer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// The most that is read of a note and of a published file, in bytes.
const (
	maxNote = 1 << 20
	maxRead = 64 << 20
)

// Note returns what SetNote last wrote beside the set, in this run or an earlier
// one of this user's.
func (d *Dir) Note() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.readOurs(own(noteName, d.spec.Set), maxNote, d.ours)
}

// SetNote replaces what the caller wants to remember beside the set. It is not
// part of the set, its owner alone can read it, and it is not synced: a power cut
// can lose it.
func (d *Dir) SetNote(data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fs == nil {
		return errClosed
	}
	temp, err := d.makeNew(tempName, 0, func(name string) error {
		f, err := d.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|openNonblock, 0o600)
		if err != nil {
			return err
		}
		return errors.Join(writeFull(f, data), f.Close())
	})
	if err == nil {
		err = d.fs.Rename(temp, own(noteName, d.spec.Set))
	}
	if err != nil {
		_ = d.fs.Remove(temp)
	}
	return failed("write", noteName, err)
}

// Read returns a published file, if this user or the output's owner made it and
// no other user can change it. In symlink mode it is that of the current
// generation, so that all files that are read are of one set.
func (d *Dir) Read(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fs == nil {
		return nil, errClosed
	}
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if d.mode != ModeSymlink {
		return d.readOurs(name, maxRead, d.placed)
	}
	gen, trusted, err := d.generation()
	switch {
	case err != nil:
		return nil, err
	case gen == "":
		return nil, failed("read", name, fs.ErrNotExist)
	case !trusted || !d.linked(name):
		return nil, failed("read", name, errNotOurs)
	}
	return d.readOurs(path.Join(gen, name), maxRead, d.placed)
}

// Names returns the names of the files that Read knows, in no order.
func (d *Dir) Names() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fs == nil {
		return nil, errClosed
	}
	if d.mode != ModeSymlink {
		record, err := d.readRecord(own(recordName, d.spec.Set))
		return recorded(record), err
	}
	gen, _, err := d.generation()
	if gen == "" || err != nil {
		return nil, err
	}
	return d.walk(gen)
}

// placed is ours, or was put where only this user could put it, with the owner of the
// file that it replaced.
func (d *Dir) placed(s stat) bool { return d.ours(s) || !d.shared && s.mode&0o022 == 0 }

var (
	errClosed  = errors.New("the directory has been closed")
	errNotOurs = errors.New("it is not a file that this helper made and that no other user can change")
)

// readOurs reads a regular file, if it is ours.
func (d *Dir) readOurs(name string, limit int64, ours func(stat) bool) ([]byte, error) {
	if d.fs == nil {
		return nil, errClosed
	}
	s, err := d.fs.Lstat(name)
	if err != nil {
		return nil, failed("look at", name, err)
	}
	if !s.regular() || !ours(s) {
		return nil, failed("read", name, errNotOurs)
	}
	f, err := d.fs.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, failed("open", name, err)
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !opened.same(s) {
		return nil, failed("open", name, errors.Join(errReplaced, err))
	}
	data, err := io.ReadAll(io.LimitReader(f, limit))
	return data, failed("read", name, err)
}
