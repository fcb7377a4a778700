package writer

import (
	"fmt"
	"path"
	"slices"
)

// claim makes sure that no other set in the directory has a name of this one. What a helper that has ended left of its set, a new helper takes over
// name by name.
func (d *Dir) claim(p *plan) error {
	sets, err := d.otherSets()
	if err != nil || len(sets) == 0 {
		return err
	}
	owners := map[string]string{} // name to the set that has it
	for _, set := range sets {
		for _, name := range d.namesOfSet(set) {
			owners[name] = set
		}
	}
	for _, f := range p.files {
		set, ok := owners[f.Name]
		if h := d.have.at(0, f.Name); !ok || h != nil && h.linked {
			continue
		}
		if err := d.free(set); err != nil {
			return fmt.Errorf("%s is a file of %w", f.Name, err)
		}
		p.took = true
	}
	theirs := func(name string) bool { // it took the name over from us
		_, ok := owners[name]
		h := d.have.at(0, name)
		return ok && h != nil && !h.linked
	}
	p.gone = slices.DeleteFunc(p.gone, func(h held) bool { return theirs(h.Name) })
	p.change.Removed = slices.DeleteFunc(p.change.Removed, theirs)
	return nil
}

// otherSets returns the names of the other sets in the directory.
func (d *Dir) otherSets() (sets []string, err error) {
	entries, err := d.fs.ReadDir(".")
	if err != nil {
		return nil, failed("read directory", ".", err)
	}
	for _, e := range entries {
		if base, set, ok := parseOwn(e); ok && (base == dataName || base == recordName) && set != d.spec.Set {
			sets = append(sets, set)
		}
	}
	return sets, nil
}

// namesOfSet returns the visible names that a set in the directory has.
func (d *Dir) namesOfSet(set string) []string {
	var names []string
	if gen, err := d.fs.Readlink(own(dataName, set)); err == nil {
		if base, of, ok := parseOwn(gen); ok && base == genName && of == set {
			inside, _ := d.walk(gen)
			for _, name := range inside {
				if target, err := d.fs.Readlink(name); err == nil && target == linkTarget(name, set) {
					names = append(names, name)
				}
			}
		}
	}
	record, _ := d.readRecord(own(recordName, set))
	return append(names, recorded(record)...)
}

// free reports which process holds a set, if one does.
func (d *Dir) free(set string) error {
	pid, held := holderOf(path.Join(d.path, own(lockName, set)))
	switch {
	case !held:
		return nil
	case pid == 0:
		return fmt.Errorf("set %q, which another helper publishes here: give the file another name, or the output a directory of its own", set)
	}
	return fmt.Errorf("set %q, which another helper (pid %d) publishes here: give the file another name, or the output a directory of its own", set, pid)
}

// dropEmptySets removes what is left of other sets that have ended and whose names
// are all this set's by now.
func (d *Dir) dropEmptySets() {
	sets, err := d.otherSets()
	if err != nil {
		return
	}
	for _, set := range sets {
		names := slices.DeleteFunc(d.namesOfSet(set), func(name string) bool { h := d.have.at(0, name); return h != nil })
		if len(names) > 0 || d.free(set) != nil {
			continue
		}
		entries, _ := d.fs.ReadDir(".")
		for _, e := range entries {
			if _, of, ok := parseOwn(e); ok && of == set {
				d.cleared(e, d.fs.RemoveAll(e))
			}
		}
	}
}
