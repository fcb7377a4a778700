package writer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// errReplaced says that somebody exchanged a file behind us.
var errReplaced = errors.New("it was replaced while it was being opened")

// overwrite gives a regular file new bytes and rights, and reports whether there
// was one. It does not follow a link. A file that grows does so before its old
// bytes are touched, so that a full disk leaves them as they are.
func (t *transaction) overwrite(it item) (done bool, err error) {
	info, err := t.fs.Lstat(it.Name)
	if absent(err) || err == nil && (!info.Mode().IsRegular() || t.led(it.Name)) {
		return false, nil
	}
	if err != nil {
		return false, failed("look at", it.Name, err)
	}
	f, err := t.openToWrite(it.Name, info)
	if err != nil {
		return false, err
	}
	t.files = append(t.files, f)
	old, err := io.ReadAll(f)
	if err != nil {
		return false, failed("read", it.Name, err)
	}
	t.onFailure(func() error { return restore(f, it.Name, old, info) })
	if err := takeRights(f, it.rights); err != nil {
		return false, failed("set the rights of", it.Name, err)
	}
	return true, rewrite(f, it.Name, it.Data, len(old), t.fsync)
}

// openToWrite opens a file that stays where it is, and makes sure that it is the
// one that info describes. One that its owner may not write is made writable
// for its owner first.
func (t *transaction) openToWrite(name string, info fs.FileInfo) (file, error) {
	f, err := t.fs.OpenFile(name, os.O_RDWR|openNonblock, 0)
	if errors.Is(err, fs.ErrPermission) {
		if err := t.fs.Chmod(name, info.Mode().Perm()|0o600); err != nil {
			return nil, failed("make writable", name, err)
		}
		t.onFailure(func() error { return failed("chmod", name, t.fs.Chmod(name, info.Mode().Perm())) })
		f, err = t.fs.OpenFile(name, os.O_RDWR|openNonblock, 0)
	}
	if err != nil {
		return nil, failed("open", name, err)
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(info, opened) {
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
	info, err := f.Stat() // anew: it may have been made writable
	if err != nil || r.equal(info) {
		return err
	}
	if err := f.Chmod(info.Mode().Perm() & r.mode & 0o700); err != nil {
		return err
	}
	return r.give(f)
}

// rewrite replaces the bytes of an open file that has size bytes.
func rewrite(f file, name string, data []byte, size int, sync bool) error {
	head := data[:min(size, len(data))]
	if rest := data[len(head):]; len(rest) > 0 {
		if err := writeAt(f, rest, int64(len(head))); err != nil {
			return failed("write", name, err)
		}
	}
	if err := writeAt(f, head, 0); err != nil {
		return failed("write", name, err)
	}
	if len(data) < size {
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

// restore puts the old bytes and rights of a file back.
func restore(f file, name string, old []byte, info fs.FileInfo) error {
	if err := writeAt(f, old, 0); err != nil {
		return failed("put back", name, err)
	}
	if err := f.Truncate(int64(len(old))); err != nil {
		return failed("put back", name, err)
	}
	uid, gid, known := ownerOf(info)
	if now, err := f.Stat(); err == nil && known {
		if nowUID, nowGID, _ := ownerOf(now); nowUID != uid || nowGID != gid {
			if err := f.Chown(uid, gid); err != nil {
				return failed("put back", name, err)
			}
		}
	}
	return failed("put back", name, f.Chmod(info.Mode().Perm()))
}

// removeInPlace removes a file that is not in the set any more. One that
// cannot be removed, as a mount point cannot, loses its bytes.
func (t *transaction) removeInPlace(name string) error {
	info, err := t.fs.Lstat(name)
	if absent(err) {
		return nil
	}
	if err != nil {
		return failed("look at", name, err)
	}
	if !info.Mode().IsRegular() {
		return failed("remove", name, t.fs.Remove(name))
	}
	f, err := t.openToWrite(name, info)
	if err != nil {
		return err
	}
	t.files = append(t.files, f)
	old, err := io.ReadAll(f)
	if err != nil {
		return failed("read", name, err)
	}
	err = t.fs.Remove(name)
	if err == nil {
		t.onFailure(func() error {
			again := item{File{Name: name, Data: old}, rightsOf(info)}
			if len(old) == 0 {
				return fmt.Errorf("put back %s: it was empty", name)
			}
			return t.writeAll("", []item{again}, nil)
		})
		return nil
	}
	if !errors.Is(err, syscall.EBUSY) && t.journal {
		return failed("remove", name, err)
	}
	t.onFailure(func() error { return restore(f, name, old, info) })
	return failed("truncate", name, f.Truncate(0))
}

// rightsOf are the rights of a file as it is.
func rightsOf(info fs.FileInfo) rights {
	uid, gid, known := ownerOf(info)
	if !known {
		uid, gid = -1, -1
	}
	return rights{info.Mode().Perm(), uid, gid}
}
