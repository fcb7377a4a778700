package writer

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// published is what a directory holds.
type published struct {
	gen   string          // the current generation's directory, or empty
	files map[string]held // what is there, by name
	dirs  []string        // that the names lie in, parents first
	// last is what was published last, in the order of its set. It is empty
	// when files has been found on disk.
	last []item
	// record is what the list of published names says; symlink mode has none.
	record string
}

// genDirs are the directories of the current generation.
func (p *published) genDirs() []string {
	if p.gen == "" {
		return nil
	}
	return below(p.gen, p.dirs)
}

// watched are the directories in which published files lie, but for the output's
// own.
func (p *published) watched() []string { return slices.Concat(p.dirs, p.genDirs()) }

// held is what a directory holds under one name.
type held struct {
	data   []byte // nil if it is none that was ever wanted
	rights rights
	// shared says that data is on disk with those rights where this publish
	// keeps it, so that it need not be written.
	shared bool
	// seen says that data is what a reader of the name gets.
	seen bool
	// linked says that the visible name is a link through "..data".
	linked bool
}

// An item is a file of a set, checked, with its rights looked up.
type item struct {
	File
	rights rights
}

// held is what a directory holds once an item has been published.
func (it item) held() held {
	return held{data: it.Data, rights: it.rights, shared: true, seen: true, linked: true}
}

// A plan is what a publish has to do. All lists are in the order of names.
type plan struct {
	want   []item
	write  []item   // of want: new bytes, or new rights
	kept   []string // names that are not wanted yet, and stay
	relink []string // visible names that are not links through "..data"
	gone   []string // names that are not wanted any more
	named  bool     // there are other names than before
	dirs   []string // that all names lie in
	record string   // the list of all names
	change Change
}

// items checks files and looks up their owners. What was published last need not
// be checked again.
func (d *Dir) items(files []File) ([]item, error) {
	var last []item
	if d.have != nil {
		last = d.have.last
	}
	want := make([]item, len(files))
	known := len(last) == len(files)
	for i, f := range files {
		if i < len(last) && sameFile(last[i].File, f) {
			want[i] = item{f, last[i].rights}
			continue
		}
		known = false
		if err := CheckName(f.Name); err != nil {
			return nil, err
		}
		if len(f.Data) == 0 {
			return nil, fmt.Errorf("file %q is empty", f.Name)
		}
		ids, err := d.owner(f)
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", f.Name, err)
		}
		want[i] = item{f, rights{f.Mode.Perm(), ids[0], ids[1]}}
	}
	if known {
		return want, nil
	}
	names := names{}
	for _, it := range want {
		if err := names.take(it.Name); err != nil {
			return nil, err
		}
	}
	return want, nil
}

// sameFile reports whether two files differ in their bytes at most.
func sameFile(a, b File) bool {
	return a.Name == b.Name && a.Mode == b.Mode && a.Owner == b.Owner && a.Group == b.Group && len(b.Data) > 0
}

// plan compares what is wanted with what is there.
func (d *Dir) plan(want []item, keep func(name string) bool) *plan {
	p := &plan{want: want}
	found := 0 // of the names that are there
	for i, it := range want {
		if i < len(d.have.last) && d.have.last[i].Name == it.Name {
			found++
			p.compare(it, d.have.last[i].held())
			continue
		}
		h, there := d.have.files[it.Name]
		if there {
			found++
		} else {
			p.named = true
		}
		p.compare(it, h)
	}
	if found < len(d.have.files) {
		p.leftover(d.have.files, keep)
	}
	slices.SortFunc(p.write, func(a, b item) int { return strings.Compare(a.Name, b.Name) })
	for _, names := range [][]string{p.kept, p.relink, p.gone, p.change.Changed, p.change.Removed} {
		slices.Sort(names)
	}
	if p.dirs, p.record = d.have.dirs, d.have.record; p.named || len(d.have.last) == 0 {
		p.dirs, p.record = dirsOf(p.names()), ""
		if d.mode != ModeSymlink {
			p.record = record(p.names())
		}
	}
	if d.mode != ModeSymlink {
		p.relink = nil // a visible name is the file itself
	}
	return p
}

// compare plans for one wanted file, of which h is there.
func (p *plan) compare(it item, h held) {
	same := h.data != nil && bytes.Equal(h.data, it.Data)
	if !same || !h.shared || h.rights != it.rights {
		p.write = append(p.write, it)
	}
	if !h.linked {
		p.relink = append(p.relink, it.Name)
	}
	if !same || !h.seen {
		p.change.Changed = append(p.change.Changed, it.Name)
	}
}

// leftover plans for what is there and not wanted: it is kept or goes.
func (p *plan) leftover(files map[string]held, keep func(name string) bool) {
	wanted := make(map[string]bool, len(p.want))
	for _, it := range p.want {
		wanted[it.Name] = true
	}
	for name := range files {
		if wanted[name] {
			continue
		}
		if keep != nil && keep(name) {
			p.kept = append(p.kept, name)
			continue
		}
		p.named = true
		p.gone = append(p.gone, name)
		p.change.Removed = append(p.change.Removed, name)
	}
}

// names returns all names that there will be.
func (p *plan) names() []string {
	names := slices.Clone(p.kept)
	for _, it := range p.want {
		names = append(names, it.Name)
	}
	return names
}

// nothing reports whether the directory is as it should be.
func (p *plan) nothing(have *published) bool {
	return len(p.write)+len(p.relink)+len(p.gone) == 0 && p.record == have.record
}

// done brings what is known of the directory up to date after a publish.
func (p *plan) done(have *published) {
	changed := p.write
	if len(have.last) == 0 {
		changed = p.want
	}
	for _, it := range changed {
		have.files[it.Name] = it.held()
	}
	for _, name := range p.gone {
		delete(have.files, name)
	}
	have.last, have.dirs, have.record = p.want, p.dirs, p.record
}

// below returns a directory and those below it.
func below(dir string, dirs []string) []string {
	all := []string{dir}
	for _, d := range dirs {
		all = append(all, path.Join(dir, d))
	}
	return all
}

// dirsOf returns the directories that names lie in, parents first.
func dirsOf(names []string) []string {
	dirs := map[string]bool{}
	for _, name := range names {
		for i := range len(name) {
			if name[i] == '/' {
				dirs[name[:i]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(dirs))
}
