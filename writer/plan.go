package writer

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
)

// published is what a directory holds of a set.
type published struct {
	gen     string         // the current generation's directory, or empty
	fresh   bool           // nothing has been published since it was found on disk
	trusted bool           // only this user can have changed the generation
	files   []held         // in the order of the last publish, then what it kept
	index   map[string]int // of files, by name; nil: to be made when it is needed
	dirs    []string       // that the names lie in, parents first
	record  string         // what the list of published names says; symlink mode has none
}

// held is what a directory holds under one name.
type held struct {
	File          // as it was last asked for; no Data: on disk are other bytes
	rights rights // that it is to have; what is not configured is as on disk
	// shared says that the bytes are on disk with those rights, where this publish
	// keeps them, so that they need not be written.
	shared bool
	// seen says that these bytes are what a reader of the name gets.
	seen bool
	// linked says that the visible name is a link through our "..data".
	linked bool
	// inside says that the current generation has the name; mine that it or the list
	// of names has.
	inside, mine bool
}

// at returns what is held under a name, which is likely to be the i-th.
func (p *published) at(i int, name string) *held {
	if i < len(p.files) && p.files[i].Name == name {
		return &p.files[i]
	}
	if p.index == nil {
		p.index = make(map[string]int, len(p.files))
		for i, h := range p.files {
			p.index[h.Name] = i
		}
	}
	if i, ok := p.index[name]; ok {
		return &p.files[i]
	}
	return nil
}

// An item is a file to publish, checked, with its rights looked up.
type item struct {
	File
	rights rights
}

// held is what a directory holds once an item has been published.
func (it item) held(mode Mode) held {
	return held{File: it.File, rights: it.rights, shared: true, seen: true, linked: mode == ModeSymlink, inside: mode == ModeSymlink, mine: true}
}

// A plan is what a publish has to do.
type plan struct {
	how     Mode // of publishing
	files   []File
	aligned bool         // the files have the names of those held, in their order
	touched map[int]item // of files: what is written or linked anew
	write   []item       // new bytes, or new rights
	kept    []held       // that are not wanted yet, and stay
	relink  []string     // visible names that are not links through our "..data"
	gone    []held       // that are not wanted any more
	took    bool         // some have been taken over from another set
	named   bool         // there are other names than before
	dirs    []string     // that all names lie in
	record  string       // the list of all names
	change  Change
}

// plan compares what is wanted with what is there.
func (d *Dir) plan(files []File, keep func(name string) bool) (*plan, error) {
	have := d.have
	p := &plan{how: d.mode, files: files, aligned: true, touched: map[int]item{}}
	for i, f := range files {
		p.aligned = p.aligned && i < len(have.files) && have.files[i].Name == f.Name
		h := have.at(i, f.Name)
		it, err := d.item(f, h)
		if err != nil {
			return nil, err
		}
		if h == nil {
			h = &held{}
		}
		p.named = p.named || !h.mine
		p.compare(i, it, h)
	}
	if !p.aligned {
		if err := CheckNames(namesOf(files)); err != nil {
			return nil, err
		}
	}
	p.leftover(have.files, keep)
	if d.mode != ModeSymlink {
		p.relink = nil // a visible name is the file itself
	}
	if p.dirs, p.record = have.dirs, have.record; p.named || !p.aligned {
		p.dirs, p.record = dirsOf(p.names()), ""
	}
	if d.mode != ModeSymlink || slices.ContainsFunc(p.kept, func(h held) bool { return !h.linked }) {
		if p.record == "" {
			p.record = record(p.names())
		}
	} else {
		p.record = ""
	}
	slices.Sort(p.change.Changed)
	slices.Sort(p.change.Removed)
	return p, nil
}

// item checks a file and looks up its rights, unless it differs from what is held
// in its bytes at most.
func (d *Dir) item(f File, h *held) (item, error) {
	if len(f.Data) == 0 {
		return item{}, fmt.Errorf("file %q is empty", f.Name)
	}
	if h != nil && h.Mode == f.Mode && h.Owner == f.Owner && h.Group == f.Group && h.rights.mode == f.Mode.Perm() {
		return item{f, h.rights}, nil
	}
	if err := CheckName(f.Name); err != nil {
		return item{}, err
	}
	r, err := d.rightsFor(f)
	if h != nil { // keeps what is not configured
		if r.uid < 0 {
			r.uid = h.rights.uid
		}
		if r.gid < 0 {
			r.gid = h.rights.gid
		}
	}
	return item{f, r}, err
}

// rightsFor are the rights that are configured for a file.
func (d *Dir) rightsFor(f File) (rights, error) {
	ids, err := d.owner(f)
	if err != nil {
		return rights{}, fmt.Errorf("file %q: %w", f.Name, err)
	}
	return rights{f.Mode.Perm(), ids[0], ids[1]}, nil
}

// compare plans for one wanted file, of which h is there.
func (p *plan) compare(i int, it item, h *held) {
	same := h.Data != nil && bytes.Equal(h.Data, it.Data)
	write := !same || !h.shared || h.rights != it.rights
	if write {
		p.write = append(p.write, it)
	}
	if !h.linked {
		p.relink = append(p.relink, it.Name)
	}
	if write || !h.linked || !h.seen {
		p.touched[i] = it
	}
	if !same || !h.seen {
		p.change.Changed = append(p.change.Changed, it.Name)
	}
}

// leftover plans for what is there and not wanted: it is kept or goes.
func (p *plan) leftover(have []held, keep func(name string) bool) {
	wanted := map[string]bool{}
	if p.aligned {
		have = have[len(p.files):]
	} else {
		for _, f := range p.files {
			wanted[f.Name] = true
		}
	}
	for _, h := range have {
		switch {
		case wanted[h.Name]:
		case keep != nil && keep(h.Name):
			p.kept = append(p.kept, h)
		default:
			p.named = true
			p.gone = append(p.gone, h)
			p.change.Removed = append(p.change.Removed, h.Name)
		}
	}
}

// names returns all names that there will be.
func (p *plan) names() []string { return append(namesOf(p.files), heldNames(p.kept)...) }

// nothing reports whether the directory is as it should be.
func (p *plan) nothing(have *published) bool {
	return len(p.write)+len(p.relink)+len(p.gone) == 0 && p.record == have.record
}

// done brings what is known of the directory up to date after a publish.
func (p *plan) done(have *published) {
	if p.aligned {
		for i, it := range p.touched {
			have.files[i] = it.held(p.how)
		}
		if len(p.gone) > 0 {
			have.files = append(have.files[:len(p.files)], p.kept...)
			have.index = nil
		}
	} else {
		all := make([]held, 0, len(p.files)+len(p.kept))
		for i, f := range p.files {
			if it, ok := p.touched[i]; ok {
				all = append(all, it.held(p.how))
			} else {
				all = append(all, *have.at(i, f.Name))
			}
		}
		have.files, have.index = append(all, p.kept...), nil
	}
	have.dirs, have.record, have.fresh = p.dirs, p.record, false
}

func namesOf(files []File) []string {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	return names
}

func itemNames(items []item) (names []string) {
	for _, it := range items {
		names = append(names, it.Name)
	}
	return names
}

func heldNames(all []held) (names []string) {
	for _, h := range all {
		names = append(names, h.Name)
	}
	return names
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
