package writer

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path"
	"slices"
)

// inspect finds out what the directory holds of what is wanted, and of what was
// published before.
func (d *Dir) inspect(want []item) (*published, error) {
	p := &published{files: map[string]held{}}
	var err error
	if p.gen, err = d.generation(); err != nil {
		return nil, err
	}
	if p.record, err = d.readRecord(recordName); err != nil {
		return nil, err
	}
	if p.gen != "" {
		names, err := d.walk(p.gen)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			p.files[name] = held{shared: d.mode == ModeSymlink}
		}
	}
	for _, name := range recorded(p.record) {
		if _, there := p.files[name]; there {
			continue
		}
		info, err := d.fs.Lstat(name)
		if err == nil && info.Mode().IsRegular() {
			p.files[name] = held{}
		} else if err != nil && !absent(err) {
			return nil, failed("look at", name, err)
		}
	}
	for name, h := range p.files {
		h.linked = p.gen != "" && d.linked(name)
		p.files[name] = h
	}
	for _, it := range want {
		if h := d.inspectFile(p, it); h.data != nil || p.files[it.Name].shared {
			p.files[it.Name] = h
		}
	}
	p.dirs = dirsOf(slices.Collect(maps.Keys(p.files)))
	return p, nil
}

// inspectFile finds out what the directory holds of one wanted file.
func (d *Dir) inspectFile(p *published, it item) held {
	name := it.Name
	if d.mode != ModeSymlink {
		h := d.compare(name, it)
		h.seen = h.data != nil
		return h
	}
	var h held
	if _, there := p.files[name]; there && p.gen != "" {
		h = d.compare(path.Join(p.gen, name), it)
	}
	if h.linked = d.linked(name); h.linked {
		h.seen = h.data != nil
		return h
	}
	if visible := d.compare(name, it); visible.data != nil {
		// The reader has these bytes, though not from the generation.
		h.data, h.seen = it.Data, true
	}
	return h
}

// linked reports whether a visible name is a link through "..data".
func (d *Dir) linked(name string) bool {
	target, err := d.fs.Readlink(name)
	return err == nil && target == linkTarget(name)
}

// compare reads a regular file, without following a link, and returns what it
// has of what an item wants.
func (d *Dir) compare(name string, it item) held {
	var h held
	info, err := d.fs.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(it.Data)) {
		return h
	}
	f, err := d.fs.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return h
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return h
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(len(it.Data))+1))
	if err != nil || !bytes.Equal(data, it.Data) {
		return h
	}
	h.data, h.shared = it.Data, true
	if d.lock.plain || it.rights.equal(info) {
		h.rights = it.rights
	} else {
		h.rights = rights{uid: -2} // equal to none that is wanted
	}
	return h
}

// walk returns the names of all files below a directory of ours.
func (d *Dir) walk(dir string) ([]string, error) {
	var names []string
	entries, err := d.fs.ReadDir(dir)
	if err != nil {
		return nil, failed("read directory", dir, err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
			continue
		}
		below, err := d.walk(path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for _, name := range below {
			names = append(names, e.Name()+"/"+name)
		}
	}
	return names, nil
}
