package writer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// errReplaced says that another program exchanged a file behind us.
var errReplaced = errors.New("it was replaced while it was being opened")

// overwrite gives a regular file new bytes and rights, and reports whether there
// was one. It does not follow a link. A file that grows does so before its old
// bytes are touched, so that a full disk leaves them as they are.
func (d *Dir) overwrite(it item) (done bool, err error) {
	s, err := d.fs.Lstat(it.Name)
	if absent(err) || err == nil && (!s.regular() || d.led(it.Name)) {
		return false, nil
	}
	if err != nil {
		return false, failed("look at", it.Name, err)
	}
	f, err := d.openToWrite(it.Name, s)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := takeRights(f, it.rights); err != nil {
		return false, failed("set the rights of", it.Name, err)
	}
	return true, rewrite(f, it.Name, it.Data, s.size, d.fsync)
}

// openToWrite opens a file that stays where it is, and makes sure that it is the
// one that was looked at. One that its owner may not write is made writable for its
// owner first.
func (d *Dir) openToWrite(name string, s stat) (file, error) {
	f, err := d.fs.OpenFile(name, os.O_RDWR|openNonblock, 0)
	if errors.Is(err, fs.ErrPermission) {
		if err := d.fs.Chmod(name, s.mode.Perm()|0o600); err != nil {
			return nil, failed("make writable", name, err)
		}
		f, err = d.fs.OpenFile(name, os.O_RDWR|openNonblock, 0)
	}
	if err != nil {
		return nil, failed("open", name, err)
	}
	opened, err := f.Stat()
	if err == nil && !opened.same(s) {
		err = errReplaced
	}
	if err != nil {
		f.Close()
		return nil, failed("open", name, err)
	}
	return f, nil
}

// takeRights gives an existing file its rights before it gets its bytes. What
// its old mode allows to others ends before its owner changes.
func takeRights(f file, r rights) error {
	s, err := f.Stat() // anew: it may have been made writable
	if err != nil || r.equal(s) {
		return err
	}
	if err := f.Chmod(s.mode.Perm() & r.mode & 0o700); err != nil {
		return err
	}
	return r.give(f)
}

// rewrite replaces the bytes of an open file that has size bytes.
func rewrite(f file, name string, data []byte, size int64, sync bool) error {
	head := data[:min(size, int64(len(data)))]
	if rest := data[len(head):]; len(rest) > 0 {
		if err := writeAt(f, rest, int64(len(head))); err != nil {
			return failed("write", name, err)
		}
	}
	if err := writeAt(f, head, 0); err != nil {
		return failed("write", name, err)
	}
	if int64(len(data)) < size {
		if err := f.Truncate(int64(len(data))); err != nil {
			return failed("truncate", name, err)
		}
	}
	if sync {
		return failed("sync", name, f.Sync())
	}
	return nil
}

func writeAt(f file, data []byte, off int64) error {
	n, err := f.WriteAt(data, off)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	return err
}

// removeInPlace removes a file that is not in the set any more. One that cannot be
// removed, as a mount point cannot, loses its bytes.
func (d *Dir) removeInPlace(name string) error {
	err := d.fs.Remove(name)
	if err == nil || absent(err) {
		return nil
	}
	s, serr := d.fs.Lstat(name)
	if serr != nil || !s.regular() || !errors.Is(err, syscall.EBUSY) && canWrite(d.path) == nil {
		return failed("remove", name, err)
	}
	f, err := d.openToWrite(name, s)
	if err != nil {
		return err
	}
	defer f.Close()
	return failed("truncate", name, f.Truncate(0))
}
