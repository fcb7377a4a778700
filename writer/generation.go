package writer

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
)

// A spare is a generation that has been retired, without the files that the
// current one does not share. It is what the next one begins with, which spares
// a link and a removal for each of many files that never change.
type spare struct {
	gen     string
	missing map[string]bool // names of the current generation that it lacks
}

// worthSparing is how many files a spare generation must have.
var worthSparing = 32

// makeGeneration is steps 1 to 4 of publishSymlink.
func (t *transaction) makeGeneration() (string, error) {
	spare := t.spare
	gen, err := makeNew(genPrefix, t.number, func(name string) error { // (1)
		if spare == nil {
			return t.mkdir(name)
		}
		return taken(failed("rename to", name, t.fs.Rename(spare.gen, name)))
	})
	if err != nil {
		return "", err
	}
	t.number++
	t.spare = nil
	t.onFailure(func() error { return failed("remove", gen, t.fs.RemoveAll(gen)) })
	for _, dir := range t.plan.dirs {
		if spare != nil && slices.Contains(t.have.dirs, dir) {
			continue
		}
		if err := t.mkdir(path.Join(gen, dir)); err != nil && !(spare != nil && errors.Is(err, fs.ErrExist)) {
			return "", err
		}
	}
	write, err := t.share(gen, spare) // (2)
	if err != nil {
		return "", err
	}
	touched := dirsOf(itemNames(write))
	if spare == nil {
		touched = t.plan.dirs
	}
	return gen, t.writeAll(gen, write, append(below(gen, touched), ".")) // (3) (4)
}

// taken turns the errors of a rename to a directory's name that is not free into
// the one that says so.
func taken(err error) error {
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrExist
	}
	return err
}

// share puts into a generation what has not changed. A spare one has that
// already; there, what has changed is removed. It returns what is to be written.
func (t *transaction) share(gen string, spare *spare) (write []item, err error) {
	write = slices.Clone(t.write)
	if spare != nil {
		for _, name := range append(itemNames(t.write), t.gone...) {
			if _, there := t.have.files[name]; !there || spare.missing[name] {
				delete(spare.missing, name)
				continue
			}
			if err := t.fs.Remove(path.Join(gen, name)); err != nil {
				return nil, failed("remove", path.Join(gen, name), err)
			}
		}
	}
	written := make(map[string]bool, len(t.write))
	for _, it := range t.write {
		written[it.Name] = true
	}
	for _, it := range t.want {
		if written[it.Name] || spare != nil && !spare.missing[it.Name] {
			continue
		}
		if linked, err := t.shareFile(gen, it.Name); err != nil {
			return nil, err
		} else if !linked {
			write = append(write, it)
		}
	}
	for _, name := range t.kept {
		if !t.have.files[name].shared || spare != nil && !spare.missing[name] {
			continue
		}
		if linked, err := t.shareFile(gen, name); err != nil {
			return nil, err
		} else if !linked {
			return nil, failed("link", path.Join(gen, name), errors.ErrUnsupported)
		}
	}
	return write, nil
}

// shareFile links a file of the current generation into the next one, and
// reports whether the file system can.
func (t *transaction) shareFile(gen, name string) (bool, error) {
	err := t.fs.Link(path.Join(t.have.gen, name), path.Join(gen, name))
	if err == nil || cannotLink(err) {
		return err == nil, nil
	}
	return false, failed("link", path.Join(gen, name), err)
}

// cannotLink reports whether an error is that of a file system that cannot make
// this hard link, or will not; writing the file again can do what it would.
func cannotLink(err error) bool {
	for _, target := range linkErrors {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func itemNames(items []item) []string {
	names := make([]string, len(items))
	for i, it := range items {
		names[i] = it.Name
	}
	return names
}

// retire makes a generation the current one, and hands the previous one to the
// keeper.
func (t *transaction) retire(gen string) {
	old := t.have.gen
	t.have.gen = gen
	if old == "" {
		return
	}
	stale := append(itemNames(t.write), t.gone...)
	t.keeper.retire(retired{gen: old, dirs: t.have.dirs, stale: stale, next: gen}, retirement)
}

// discard removes a generation whose time has come, or makes it the spare one.
// If the directory has been replaced since, a generation of that name is
// another one.
func (d *Dir) discard(old retired) {
	d.mu.Lock()
	here := d.root == old.root
	d.mu.Unlock()
	if !here {
		return
	}
	d.keeper.unwatch(below(old.gen, old.dirs)...)
	if spare := d.prune(old); spare != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.root == old.root && d.spare == nil && d.have != nil && d.have.gen == old.next {
			d.spare = spare
			return
		}
	}
	d.clear(old.root, old.gen)
}

// stuck is a generation that could not be removed.
type stuck struct {
	root *os.Root
	gen  string
}

// clear removes a generation, and those that could not be removed before: on a
// network file system that can be because a reader has a file of theirs open.
// Only the keeper calls it.
func (d *Dir) clear(root *os.Root, gen string) {
	again := d.stuck
	d.stuck = nil
	for _, s := range append(again, stuck{root, gen}) {
		err := s.root.RemoveAll(s.gen)
		if err == nil || errors.Is(err, os.ErrClosed) {
			continue
		}
		d.stuck = append(d.stuck, s)
		if s.gen == gen {
			d.cleared(err)
		}
	}
}

// prune removes from a generation what the one after it does not share, if that
// makes it a spare one.
func (d *Dir) prune(old retired) *spare {
	d.mu.Lock()
	worth := d.root == old.root && !d.closed && d.spare == nil && d.have != nil && d.have.gen == old.next && len(d.have.last)-len(old.stale) >= worthSparing
	d.mu.Unlock()
	if !worth {
		return nil
	}
	s := &spare{gen: old.gen, missing: map[string]bool{}}
	for _, name := range old.stale {
		if err := old.root.Remove(path.Join(old.gen, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		s.missing[name] = true
	}
	return s
}

// dropSpare removes the spare generation.
func (d *Dir) dropSpare() {
	if d.spare != nil {
		d.cleared(d.root.RemoveAll(d.spare.gen))
		d.spare = nil
	}
}

// cleared logs that something that is not needed any more could not be removed;
// the next rotation or the next Open tries again.
func (d *Dir) cleared(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, os.ErrClosed) {
		d.log.Warn("cannot clear what is not needed any more", "output", d.spec.Dir, "error", err)
	}
}
