package writer

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// inspect finds out what the directory holds of what is wanted.
func (d *Dir) inspect(want map[string]item) (*published, error) {
	p := &published{gen: d.generation(), files: map[string]held{}}
	var names []string
	if p.gen != "" {
		var err error
		if names, err = d.walk(p.gen); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		p.files[name] = held{shared: true, kind: d.output.kindOf(name)}
	}
	for name, it := range want {
		if _, there := p.files[name]; there {
			p.files[name] = d.compare(path.Join(p.gen, name), it)
		}
	}
	for name := range p.files {
		target, err := d.fs.Readlink(name)
		if err == nil && target == linkTarget(name) {
			h := p.files[name]
			h.linked, h.seen = true, h.data != nil
			p.files[name] = h
		}
	}
	for name, it := range want {
		h := p.files[name]
		if h.linked {
			continue
		}
		if seen := d.compare(name, it); seen.data != nil {
			h.seen = true
			h.data = it.Data
			p.files[name] = h
		}
	}
	return p, nil
}

// compare reads a regular file, without following a link, and returns what it
// has of what an item wants.
func (d *Dir) compare(name string, it item) held {
	h := held{kind: it.Kind}
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
	if it.rights.equal(info) {
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

// sweep clears what earlier runs left: generations that are not current,
// temporary names, and visible names that lead nowhere.
func (d *Dir) sweep() error {
	gen := d.generation()
	entries, err := d.fs.ReadDir(".")
	if err != nil {
		return failed("read directory", ".", err)
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, "..") || name == lockName || gen != "" && (name == gen || name == dataName) {
			continue
		}
		if err := d.fs.RemoveAll(name); err != nil {
			d.log.Warn("cannot clear what an earlier run left", "output", d.output.Dir, "error", failed("remove", name, err))
		}
	}
	return d.sweepLinks(".")
}

// sweepLinks removes links of ours that lead nowhere, and temporary names below.
func (d *Dir) sweepLinks(dir string) error {
	entries, err := d.fs.ReadDir(dir)
	if err != nil {
		return failed("read directory", dir, err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".."):
			if dir != "." && strings.HasPrefix(e.Name(), tempPrefix) {
				d.fs.RemoveAll(name)
			}
		case e.IsDir() && d.output.hasDir(name):
			if err := d.sweepLinks(name); err != nil {
				return err
			}
		case e.Type()&fs.ModeSymlink != 0:
			target, err := d.fs.Readlink(name)
			if err != nil || target != linkTarget(name) {
				continue
			}
			if _, err := d.fs.Lstat(path.Join(dataName, name)); errors.Is(err, fs.ErrNotExist) {
				if err := d.fs.Remove(name); err != nil {
					return failed("remove", name, err)
				}
			}
		}
	}
	return nil
}
