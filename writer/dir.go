package writer

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A Dir is the directory of an output, opened for publishing. Its methods can
// be called from any goroutine; publishes happen one at a time.
type Dir struct {
	output Output
	mode   Mode
	log    *slog.Logger
	path   string // of output.Dir, symbolic links resolved

	mu     sync.Mutex
	fs     fsys
	lock   *os.File
	fsync  bool
	owners map[[2]string][2]int // uid and gid of an owner and a group
	have   *published           // nil: look at the disk before the next publish
	dirs   rights               // of generations and of directories below
	closed bool

	keeper *keeper
}

// published is what a directory holds.
type published struct {
	gen   string // the current generation's directory, or empty
	files map[string]held
}

// held is what a directory holds under one name.
type held struct {
	data   []byte // nil if it is none that was ever wanted
	rights rights
	kind   snapshot.Kind
	// shared says that data is in the current generation, with those rights:
	// the next one can share it.
	shared bool
	// seen says that data is what a reader of the name gets.
	seen bool
	// linked says that the visible name is as the mode wants it: in symlink
	// mode a link through "..data".
	linked bool
}

// An item is a file of a set, checked, with its rights looked up.
type item struct {
	File
	rights rights
}

// Open prepares the directory of an output and takes its lock: Check, create
// what is missing, clear what earlier runs left. Close gives it back.
func Open(o *Output, log *slog.Logger) (*Dir, error) {
	if err := Check(o); err != nil {
		return nil, err
	}
	d := &Dir{output: *o, mode: o.Publish, log: log, owners: map[[2]string][2]int{}}
	if d.mode == "" {
		d.mode = DefaultMode()
	}
	if err := d.attach(); err != nil {
		return nil, fmt.Errorf("output %s: %w", o.Dir, err)
	}
	d.keeper = startKeeper(d)
	d.warn()
	return d, nil
}

// warn logs what is allowed and unwise.
func (d *Dir) warn() {
	for f, private := range d.output.files() {
		if mode := d.output.Rights.mode(f, private); private && mode&0o004 != 0 {
			d.log.Warn("a private key or token will be readable by every user", "file", path.Join(d.output.Dir, f.Name), "mode", fmt.Sprintf("%04o", mode))
		}
	}
}

// attach opens the directory, takes its lock and clears litter.
func (d *Dir) attach() (err error) {
	r, created, err := openDir(d.output.Dir)
	if err != nil {
		return err
	}
	d.fs, d.path, d.have = newFsys(r), r.Name(), nil
	defer func() {
		if err != nil {
			d.detach()
		}
	}()
	d.fsync = !d.output.NoFsync && !inMemory(d.path)
	if d.lock, err = lockDir(r); err != nil {
		return err
	}
	if err := d.setDirRights(created); err != nil {
		return err
	}
	return d.sweep()
}

// detach gives the directory back.
func (d *Dir) detach() error {
	var errs []error
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
		d.lock = nil
	}
	if d.fs != nil {
		errs = append(errs, d.fs.Close())
		d.fs = nil
	}
	return errors.Join(errs...)
}

// Close ends the watch on the directory and gives up its lock. What is
// published stays. A previous generation that is younger than a second is left
// to its readers, and to the next Open to clear.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	d.keeper.stop()
	return d.detach()
}

// Tampered receives when somebody else has deleted, replaced or changed the
// rights of what is published, at most once a second. Publish then repairs it.
func (d *Dir) Tampered() <-chan struct{} { return d.keeper.tampered }

// Publish makes the directory hold the set, and says what that changed for a
// reader. A set that is published already costs a comparison with what the Dir
// remembers. When it fails, what was published before still is, and nothing
// else; publishing again is the caller's to decide.
func (d *Dir) Publish(set Set) (Change, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return Change{}, fmt.Errorf("publish to %s: the directory has been closed", d.output.Dir)
	}
	change, err := d.publish(set)
	if err != nil {
		d.have = nil // whatever it was, look again
		return Change{}, fmt.Errorf("publish to %s: %w", d.output.Dir, err)
	}
	return change, nil
}

// Remove takes everything published out of the directory.
func (d *Dir) Remove() error {
	_, err := d.Publish(Set{})
	return err
}

func (d *Dir) publish(set Set) (Change, error) {
	want, err := d.items(set)
	if err != nil {
		return Change{}, err
	}
	if err := d.reattach(); err != nil {
		return Change{}, err
	}
	if d.keeper.damaged() {
		d.have = nil
	}
	if d.have == nil {
		if d.have, err = d.inspect(want); err != nil {
			return Change{}, err
		}
	}
	p := d.plan(want, set.Keep)
	if p.nothing() {
		return Change{}, nil
	}
	t := &transaction{Dir: d, plan: p}
	if err := t.run(); err != nil {
		return Change{}, err
	}
	return p.change, nil
}

// reattach opens the directory anew when its path leads elsewhere by now.
func (d *Dir) reattach() error {
	if d.fs != nil {
		named, err := os.Lstat(d.path)
		opened, oerr := d.fs.Lstat(".")
		if err == nil && oerr == nil && os.SameFile(named, opened) {
			return nil
		}
		d.log.Warn("the directory was replaced by somebody else; opening it again", "output", d.output.Dir)
		d.detach()
	}
	if err := d.attach(); err != nil {
		return err
	}
	d.keeper.rewatch()
	return nil
}

// items checks a set and looks up its owners.
func (d *Dir) items(set Set) (map[string]item, error) {
	want := make(map[string]item, len(set.Files))
	for _, f := range set.Files {
		if err := CheckName(f.Name); err != nil {
			return nil, err
		}
		if len(f.Data) == 0 {
			return nil, fmt.Errorf("file %q is empty", f.Name)
		}
		if _, twice := want[f.Name]; twice {
			return nil, fmt.Errorf("file %q is there twice", f.Name)
		}
		ids, err := d.owner(f.Owner, f.Group)
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", f.Name, err)
		}
		want[f.Name] = item{f, rights{f.Mode.Perm(), ids[0], ids[1]}}
	}
	return want, nil
}

// owner looks an owner and a group up, once.
func (d *Dir) owner(owner, group string) ([2]int, error) {
	key := [2]string{owner, group}
	ids, ok := d.owners[key]
	if !ok {
		uid, gid, err := lookupOwner(owner, group)
		if err != nil {
			return ids, err
		}
		ids = [2]int{uid, gid}
		d.owners[key] = ids
	}
	return ids, nil
}

// A plan is what a publish has to do. All lists are in the order of names.
type plan struct {
	write  []item   // to be written: new bytes, or new rights
	share  []string // as in the current generation
	relink []string // visible names that do not lead through "..data"
	gone   []string // names that are not in the set any more
	next   published
	change Change
}

func (p *plan) nothing() bool { return len(p.write)+len(p.relink)+len(p.gone) == 0 }

// plan compares what is wanted with what is there.
func (d *Dir) plan(want map[string]item, keep []string) *plan {
	p := &plan{next: published{gen: d.have.gen, files: make(map[string]held, len(want))}}
	for name, it := range want {
		h := d.have.files[name]
		same := h.data != nil && bytes.Equal(h.data, it.Data)
		if same && h.shared && h.rights == it.rights {
			p.share = append(p.share, name)
		} else {
			p.write = append(p.write, it)
		}
		if !h.linked {
			p.relink = append(p.relink, name)
		}
		if !same || !h.seen {
			p.changed(name, it.Kind)
		}
		p.next.files[name] = held{it.Data, it.rights, it.Kind, true, true, true}
	}
	for name, h := range d.have.files {
		if _, wanted := want[name]; wanted {
			continue
		}
		if slices.ContainsFunc(keep, func(pattern string) bool { return matchName(pattern, name) }) {
			p.next.files[name] = h
			if h.shared {
				p.share = append(p.share, name)
			}
			continue
		}
		p.gone = append(p.gone, name)
		p.changed(name, h.kind)
	}
	slices.SortFunc(p.write, func(a, b item) int { return strings.Compare(a.Name, b.Name) })
	for _, names := range [][]string{p.share, p.relink, p.gone, p.change.Files} {
		slices.Sort(names)
	}
	return p
}

func (p *plan) changed(name string, kind snapshot.Kind) {
	p.change.Kinds |= kind
	p.change.Files = append(p.change.Files, name)
}
