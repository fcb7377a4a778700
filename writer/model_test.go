package writer

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A disk is a model of what a file system has on its disk while a directory is
// worked on. Bytes are there for sure once the file is synced, an entry of a
// directory once the directory is. Until then each change can be there or not,
// whatever came after it. Two things are taken for granted, as every file system
// with a journal gives them: a rename is there as a whole or not at all, and rights
// come with the bytes.
type disk struct {
	mu    sync.Mutex
	root  *inode
	check func(d *disk, call string) // after each change
}

// An inode is a file, a link or a directory.
type inode struct {
	mode    fs.FileMode
	target  string
	data    []byte            // as the running system sees it
	synced  []byte            // for sure
	entries map[string]*inode // of a directory, as the running system sees it
	sure    map[string]*inode
	changes []*change // of entries, not for sure
}

// A change is what happens to entries of one directory or of two.
type change struct {
	edits []edit
	sure  bool
}

type edit struct {
	dir  *inode
	name string
	to   *inode // nil: the name goes
}

// newDisk returns the model of a directory as it is, all of it for sure.
func newDisk(t testing.TB, dir string) *disk {
	t.Helper()
	var load func(p string) *inode
	load = func(p string) *inode {
		info, err := os.Lstat(p)
		must(t, err)
		n := &inode{mode: info.Mode()}
		switch {
		case info.IsDir():
			n.entries, n.sure = map[string]*inode{}, map[string]*inode{}
			entries, err := os.ReadDir(p)
			must(t, err)
			for _, e := range entries {
				child := load(filepath.Join(p, e.Name()))
				n.entries[e.Name()], n.sure[e.Name()] = child, child
			}
		case info.Mode()&fs.ModeSymlink != 0:
			n.target, err = os.Readlink(p)
			must(t, err)
		default:
			n.data, err = os.ReadFile(p)
			must(t, err)
			n.synced = n.data
		}
		return n
	}
	return &disk{root: load(dir)}
}

// dir returns the directory that a name lies in, and its last element.
func (d *disk) dir(name string) (*inode, string) {
	at := d.root
	if name = path.Clean(name); name == "." {
		return at, "."
	}
	elements := strings.Split(name, "/")
	for _, e := range elements[:len(elements)-1] {
		at = at.entries[e]
	}
	return at, elements[len(elements)-1]
}

func (d *disk) find(name string) *inode {
	dir, base := d.dir(name)
	if base == "." {
		return dir
	}
	return dir.entries[base]
}

// apply changes entries.
func (d *disk) apply(call string, edits ...edit) {
	c := &change{edits: edits}
	for _, e := range edits {
		if e.dir.changes = append(e.dir.changes, c); e.to == nil {
			delete(e.dir.entries, e.name)
		} else {
			e.dir.entries[e.name] = e.to
		}
	}
	d.changed(call)
}

func (d *disk) changed(call string) {
	if d.check != nil {
		d.check(d, call)
	}
}

// sync makes what a directory or a file is for sure.
func (n *inode) sync() {
	n.synced = n.data
	for _, c := range n.changes {
		if c.sure {
			continue
		}
		c.sure = true
		for _, e := range c.edits {
			e.settle()
		}
	}
	n.changes = nil
}

// settle makes an edit sure. The ones before it, in the same directory, can still be
// missing, but not for its name.
func (e edit) settle() {
	if e.to == nil {
		delete(e.dir.sure, e.name)
	} else {
		e.dir.sure[e.name] = e.to
	}
}

// pending are the changes that a cut can lose, in order, and the files.
func (d *disk) pending() (changes []*change, files []*inode) {
	seen := map[any]bool{}
	var walk func(n *inode)
	walk = func(n *inode) {
		if seen[n] {
			return
		}
		seen[n] = true
		if n.entries == nil && n.target == "" && !bytes.Equal(n.data, n.synced) {
			files = append(files, n)
		}
		for _, all := range []map[string]*inode{n.entries, n.sure} {
			for _, name := range slices.Sorted(keys(all)) {
				walk(all[name])
			}
		}
		for _, c := range n.changes {
			if !c.sure && !seen[c] {
				seen[c] = true
				changes = append(changes, c)
			}
			for _, e := range c.edits {
				if e.to != nil {
					walk(e.to)
				}
			}
		}
	}
	walk(d.root)
	return changes, files
}

func keys(m map[string]*inode) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// A cutState is what is on the disk after a cut.
type cutState struct {
	entries map[*inode]map[string]*inode
	data    map[*inode][]byte
}

// cut returns what is left when only some changes, and some files' bytes, have made
// it to the disk.
func cut(changes []*change, files []*inode, kept func(i int) bool) cutState {
	s := cutState{map[*inode]map[string]*inode{}, map[*inode][]byte{}}
	for i, c := range changes {
		if !kept(i) {
			continue
		}
		for _, e := range c.edits {
			if s.entries[e.dir] == nil {
				s.entries[e.dir] = map[string]*inode{}
				for name, n := range e.dir.sure {
					s.entries[e.dir][name] = n
				}
			}
			if e.to == nil {
				delete(s.entries[e.dir], e.name)
			} else {
				s.entries[e.dir][e.name] = e.to
			}
		}
	}
	for i, f := range files {
		if s.data[f] = f.synced; kept(len(changes) + i) {
			s.data[f] = f.data[:len(f.data)/2] // neither the old bytes nor the new ones
		}
	}
	return s
}

func (s cutState) in(dir *inode) map[string]*inode {
	if e, ok := s.entries[dir]; ok {
		return e
	}
	return dir.sure
}

func (s cutState) bytes(f *inode) []byte {
	if b, ok := s.data[f]; ok {
		return b
	}
	return f.synced
}

// read reads a file by its visible name, through links.
func (s cutState) read(root *inode, name string) ([]byte, error) {
	var at []*inode
	at = append(at, root)
	pending := strings.Split(name, "/")
	for hops := 0; len(pending) > 0 && hops < 100; hops++ {
		e := pending[0]
		pending = pending[1:]
		if e == ".." {
			at = at[:len(at)-1]
			continue
		}
		n := s.in(at[len(at)-1])[e]
		switch {
		case n == nil:
			return nil, fs.ErrNotExist
		case n.target != "":
			pending = append(strings.Split(n.target, "/"), pending...)
		case n.entries != nil:
			at = append(at, n)
		default:
			return s.bytes(n), nil
		}
	}
	return nil, errors.New("no file")
}

// write makes a real directory of what is left.
func (s cutState) write(t testing.TB, n *inode, to string) {
	switch {
	case n.target != "":
		must(t, os.Symlink(n.target, to))
	case n.entries != nil:
		must(t, os.Mkdir(to, 0o700))
		for name, child := range s.in(n) {
			s.write(t, child, filepath.Join(to, name))
		}
		must(t, os.Chmod(to, n.mode.Perm()))
	default:
		must(t, os.WriteFile(to, s.bytes(n), 0o600))
		must(t, os.Chmod(to, n.mode.Perm()))
	}
}

// A modelled fsys does everything on the real directory and in the model.
type modelled struct {
	fsys
	d *disk
}

func (f modelled) do(err error, model func()) error {
	if err == nil {
		f.d.mu.Lock()
		defer f.d.mu.Unlock()
		model()
	}
	return err
}

func (f modelled) Mkdir(name string, perm fs.FileMode) error {
	return f.do(f.fsys.Mkdir(name, perm), func() {
		dir, base := f.d.dir(name)
		f.d.apply("mkdir "+name, edit{dir, base, &inode{mode: perm, entries: map[string]*inode{}, sure: map[string]*inode{}}})
	})
}

func (f modelled) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	inner, err := f.fsys.OpenFile(name, flag, perm)
	var n *inode
	err = f.do(err, func() {
		if n = f.d.find(name); n == nil {
			n = &inode{mode: perm}
			dir, base := f.d.dir(name)
			f.d.apply("create "+name, edit{dir, base, n})
		}
	})
	if err != nil {
		return nil, err
	}
	return modelledFile{inner, f, n, name}, nil
}

func (f modelled) OpenDir(name string) (syncer, error) {
	inner, err := f.fsys.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return modelledDir{inner, f, f.d.find(name), name}, nil
}

func (f modelled) Symlink(target, name string) error {
	return f.do(f.fsys.Symlink(target, name), func() {
		dir, base := f.d.dir(name)
		f.d.apply("symlink "+name, edit{dir, base, &inode{target: target}})
	})
}

func (f modelled) Link(from, to string) error {
	return f.do(f.fsys.Link(from, to), func() {
		dir, base := f.d.dir(to)
		f.d.apply("link "+to, edit{dir, base, f.d.find(from)})
	})
}

func (f modelled) Rename(from, to string) error {
	return f.do(f.fsys.Rename(from, to), func() {
		dir, base := f.d.dir(from)
		toDir, toBase := f.d.dir(to)
		f.d.apply("rename to "+to, edit{toDir, toBase, dir.entries[base]}, edit{dir, base, nil})
	})
}

func (f modelled) Chmod(name string, mode fs.FileMode) error {
	return f.do(f.fsys.Chmod(name, mode), func() { f.d.find(name).mode = mode })
}

func (f modelled) Remove(name string) error {
	return f.do(f.fsys.Remove(name), func() {
		dir, base := f.d.dir(name)
		f.d.apply("remove "+name, edit{dir, base, nil})
	})
}

func (f modelled) RemoveAll(name string) error {
	return f.do(f.fsys.RemoveAll(name), func() {
		var remove func(dir *inode, base string)
		remove = func(dir *inode, base string) {
			n := dir.entries[base]
			if n == nil {
				return
			}
			for _, child := range slices.Sorted(keys(n.entries)) {
				remove(n, child)
			}
			f.d.apply("remove "+base, edit{dir, base, nil})
		}
		remove(f.d.dir(name))
	})
}

type modelledFile struct {
	file
	f    modelled
	n    *inode
	name string
}

func (m modelledFile) change(call string, data []byte) {
	m.n.data = data
	m.f.d.changed(call + " " + m.name)
}

func (m modelledFile) Write(b []byte) (int, error) { // in one piece, to an empty file
	n, err := m.file.Write(b)
	return n, m.f.do(err, func() { m.change("write", bytes.Clone(b)) })
}

func (m modelledFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := m.file.WriteAt(b, off)
	return n, m.f.do(err, func() {
		data := make([]byte, max(len(m.n.data), int(off)+len(b)))
		copy(data, m.n.data)
		copy(data[off:], b)
		m.change("write", data)
	})
}

func (m modelledFile) Truncate(size int64) error {
	return m.f.do(m.file.Truncate(size), func() { m.change("truncate", m.n.data[:size:size]) })
}

func (m modelledFile) Chmod(mode fs.FileMode) error {
	return m.f.do(m.file.Chmod(mode), func() { m.n.mode = mode })
}

func (m modelledFile) Sync() error {
	return m.f.do(m.file.Sync(), func() { m.n.sync(); m.f.d.changed("sync " + m.name) })
}

type modelledDir struct {
	syncer
	f    modelled
	n    *inode
	name string
}

func (m modelledDir) Sync() error {
	return m.f.do(m.syncer.Sync(), func() { m.n.sync(); m.f.d.changed("sync " + m.name) })
}
