package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"

	"github.com/svidhelper/svidhelper/fswatch"
)

// A hook is asked before and told after each system call of a publish. It
// returns the error that the call is to fail with.
type hook struct {
	mu     sync.Mutex
	before func(call string) error
	after  func(call string)
}

// What a test does to the directories that are opened below a path.
var (
	hooks     sync.Map // path to *hook
	unwatches sync.Map // path to true: there is no watcher left for it
	models    sync.Map // path to *disk
)

func init() {
	realFsys, realWatcher := newFsys, newWatcher
	newFsys = func(path string, r *root) fsys {
		if d, ok := models.Load(path); ok {
			return modelled{realFsys(path, r), d.(*disk)}
		}
		if h, ok := hooks.Load(path); ok {
			return hooked{realFsys(path, r), h.(*hook)}
		}
		return realFsys(path, r)
	}
	newWatcher = func(dir string) (*fswatch.Watcher, error) {
		if _, ok := unwatches.Load(dir); ok {
			return nil, errors.New("too many watchers")
		}
		return realWatcher(dir)
	}
}

// hookDir has a directory go through a hook when it is opened.
func hookDir(t testing.TB, dir string) *hook {
	h := &hook{}
	hooks.Store(dir, h)
	t.Cleanup(func() { hooks.Delete(dir) })
	return h
}

// unwatched has a directory opened without a watch on it, which takes the kernel
// long to end.
func unwatched(t testing.TB, dir string) {
	unwatches.Store(dir, true)
	t.Cleanup(func() { unwatches.Delete(dir) })
}

func (h *hook) set(before func(call string) error, after func(call string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before, h.after = before, after
}

// run makes one call.
func (h *hook) run(op, name string, call func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	what := op + " " + name
	if h.before != nil {
		if err := h.before(what); err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
	err := call()
	if h.after != nil {
		h.after(what)
	}
	return err
}

func value[T any](h *hook, op, name string, call func() (T, error)) (v T, err error) {
	err = h.run(op, name, func() (err error) { v, err = call(); return err })
	return v, err
}

type hooked struct {
	fsys
	h *hook
}

func (f hooked) Mkdir(name string, perm fs.FileMode) error {
	return f.h.run("mkdir", name, func() error { return f.fsys.Mkdir(name, perm) })
}

func (f hooked) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	return value(f.h, "open", name, func() (file, error) {
		inner, err := f.fsys.OpenFile(name, flag, perm)
		if err != nil {
			return nil, err
		}
		return hookedFile{inner, f.h, name}, nil
	})
}

func (f hooked) Lstat(name string) (stat, error) {
	return value(f.h, "lstat", name, func() (stat, error) { return f.fsys.Lstat(name) })
}

func (f hooked) ReadDir(name string) ([]string, error) {
	return value(f.h, "readdir", name, func() ([]string, error) { return f.fsys.ReadDir(name) })
}

func (f hooked) Readlink(name string) (string, error) {
	return value(f.h, "readlink", name, func() (string, error) { return f.fsys.Readlink(name) })
}

func (f hooked) Symlink(target, name string) error {
	return f.h.run("symlink", name, func() error { return f.fsys.Symlink(target, name) })
}

func (f hooked) Link(from, to string) error {
	return f.h.run("link", to, func() error { return f.fsys.Link(from, to) })
}

func (f hooked) Rename(from, to string) error {
	return f.h.run("rename", to, func() error { return f.fsys.Rename(from, to) })
}

func (f hooked) Chmod(name string, mode fs.FileMode) error {
	return f.h.run("chmod", name, func() error { return f.fsys.Chmod(name, mode) })
}

func (f hooked) Lchown(name string, uid, gid int) error {
	return f.h.run("lchown", name, func() error { return f.fsys.Lchown(name, uid, gid) })
}

func (f hooked) Remove(name string) error {
	return f.h.run("remove", name, func() error { return f.fsys.Remove(name) })
}

func (f hooked) OpenDir(name string) (syncer, error) {
	return value(f.h, "opendir", name, func() (syncer, error) {
		inner, err := f.fsys.OpenDir(name)
		return hookedDir{inner, f.h, name}, err
	})
}

type hookedDir struct {
	syncer
	h    *hook
	name string
}

func (f hookedDir) Sync() error { return f.h.run("fsync", f.name, f.syncer.Sync) }

func (f hooked) RemoveAll(name string) error {
	return f.h.run("removeall", name, func() error { return f.fsys.RemoveAll(name) })
}

type hookedFile struct {
	file
	h    *hook
	name string
}

// errShort has a write take only half of what it is given.
var errShort = fmt.Errorf("short write")

// write makes a write of which half is done before it fails.
func (f hookedFile) write(op string, data []byte, write func([]byte) (int, error)) (n int, err error) {
	err = f.h.run(op, f.name, func() (err error) { n, err = write(data); return err })
	if pathErr, ok := err.(*fs.PathError); ok && n == 0 && pathErr.Op == op {
		n, werr := write(data[:len(data)/2])
		if werr != nil {
			return n, werr
		}
		if pathErr.Err == errShort {
			return n, nil
		}
		return n, err
	}
	return n, err
}

func (f hookedFile) Write(data []byte) (int, error) { return f.write("write", data, f.file.Write) }

func (f hookedFile) WriteAt(data []byte, off int64) (int, error) {
	return f.write("write", data, func(data []byte) (int, error) { return f.file.WriteAt(data, off) })
}

func (f hookedFile) Stat() (stat, error) {
	return value(f.h, "fstat", f.name, f.file.Stat)
}

func (f hookedFile) Truncate(size int64) error {
	return f.h.run("truncate", f.name, func() error { return f.file.Truncate(size) })
}

func (f hookedFile) Chmod(mode fs.FileMode) error {
	return f.h.run("fchmod", f.name, func() error { return f.file.Chmod(mode) })
}

func (f hookedFile) Chown(uid, gid int) error {
	return f.h.run("fchown", f.name, func() error { return f.file.Chown(uid, gid) })
}

func (f hookedFile) Sync() error { return f.h.run("fsync", f.name, f.file.Sync) }

// Close always closes: even a close that fails leaves no descriptor.
func (f hookedFile) Close() error {
	err := f.file.Close()
	if herr := f.h.run("close", f.name, func() error { return nil }); herr != nil {
		return herr
	}
	return err
}
