package writer

import (
	"bytes"
	"io"
	"os"
	"path"
)

// inspect finds out what the directory holds of what is wanted, and of what this
// set published before.
func (d *Dir) inspect(files []File) (*published, error) {
	p := &published{fresh: true}
	var err error
	if p.gen, p.trusted, err = d.generation(); err != nil {
		return nil, err
	}
	if p.record, err = d.readRecord(own(recordName, d.spec.Set)); err != nil {
		return nil, err
	}
	there := map[string]held{}
	if p.gen != "" {
		names, err := d.walk(p.gen)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			h := held{File: File{Name: name}, shared: d.mode == ModeSymlink && p.trusted, inside: true, mine: true, linked: d.linked(name)}
			if CheckName(name) == nil {
				there[name] = h
			}
		}
	}
	for _, name := range recorded(p.record) {
		if _, ok := there[name]; ok {
			continue
		}
		if s, err := d.fs.Lstat(name); err == nil && s.regular() {
			there[name] = held{File: File{Name: name}, mine: true}
		} else if err != nil && !absent(err) {
			return nil, failed("look at", name, err)
		}
	}
	for _, f := range files {
		h, ok := there[f.Name]
		delete(there, f.Name)
		if h, found, err := d.inspectFile(p, f, h); err != nil {
			return nil, err
		} else if ok || found {
			p.files = append(p.files, h)
		}
	}
	for _, h := range there {
		p.files = append(p.files, h)
	}
	p.dirs = dirsOf(heldNames(p.files))
	return p, nil
}

// inspectFile finds out what the directory holds of one wanted file, of which h is
// there so far.
func (d *Dir) inspectFile(p *published, f File, h held) (_ held, found bool, err error) {
	want, err := d.rightsFor(f)
	if err != nil || CheckName(f.Name) != nil {
		return h, false, err
	}
	h.File, h.shared = f, false
	h.Data = nil
	if h.inside {
		s, same := d.compare(path.Join(p.gen, f.Name), f)
		if h.rights = want; p.trusted {
			h.rights = d.kept(want, s)
		}
		if same {
			h.Data = f.Data
			h.shared, h.seen = d.mode == ModeSymlink && p.trusted && d.has(s, h.rights), h.linked
		}
		found = true
	}
	if !h.linked {
		s, same := d.compare(f.Name, f)
		if found = found || s.regular() && s.id != (fileID{}); found && !h.inside {
			h.rights = d.kept(want, s)
		}
		if same { // the reader has these bytes, wherever they are
			h.Data, h.seen = f.Data, true
			h.shared = h.shared || d.mode != ModeSymlink && d.has(s, h.rights)
		}
	}
	return h, found, nil
}

// has reports whether a file on disk has rights, if there are any to have.
func (d *Dir) has(s stat, r rights) bool { return d.lock.plain || r.equal(s) }

// linked reports whether a visible name is a link through "..data".
func (d *Dir) linked(name string) bool {
	target, err := d.fs.Readlink(name)
	return err == nil && target == linkTarget(name, d.spec.Set)
}

// compare reads a regular file, without following a link, and reports whether it
// has the bytes of another.
func (d *Dir) compare(name string, f File) (s stat, same bool) {
	s, err := d.fs.Lstat(name)
	if err != nil {
		return stat{}, false
	}
	if !s.regular() || s.size != int64(len(f.Data)) {
		return s, false
	}
	opened, err := d.fs.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return s, false
	}
	defer opened.Close()
	if o, err := opened.Stat(); err != nil || !o.same(s) {
		return s, false
	}
	data, err := io.ReadAll(io.LimitReader(opened, int64(len(f.Data))+1))
	return s, err == nil && bytes.Equal(data, f.Data)
}

// walk returns the names of all files below a directory of ours.
func (d *Dir) walk(dir string) (names []string, err error) {
	err = d.walkAll(dir, func(name string, isDir bool) {
		if !isDir {
			names = append(names, name)
		}
	})
	return names, err
}

// walkAll visits all that is below a directory of ours, parents first.
func (d *Dir) walkAll(dir string, visit func(name string, isDir bool)) error {
	entries, err := d.fs.ReadDir(dir)
	if err != nil {
		return failed("read directory", dir, err)
	}
	for _, e := range entries {
		s, err := d.fs.Lstat(path.Join(dir, e))
		if absent(err) {
			continue
		}
		if err != nil {
			return failed("look at", path.Join(dir, e), err)
		}
		if visit(e, s.isDir()); !s.isDir() {
			continue
		}
		if err := d.walkAll(path.Join(dir, e), func(name string, isDir bool) { visit(e+"/"+name, isDir) }); err != nil {
			return err
		}
	}
	return nil
}
