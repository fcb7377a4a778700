package writer

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A Dir is a directory, opened for publishing one set of files in it. Its methods
// can be called from any goroutine; publishes happen one at a time.
type Dir struct {
	spec   Spec
	mode   Mode
	log    *slog.Logger
	path   string   // of spec.Dir, symbolic links resolved
	unsafe []string // what on the way lets another user choose where it leads

	mu        sync.Mutex
	fs        fsys
	id        stat // of the directory
	lock      *dirLock
	fsync     bool
	owners    map[[2]string][2]int // uid and gid of an owner and a group
	have      *published           // nil: look at the disk before the next publish
	number    int                  // of the next generation
	unsaid    Change               // visible already, by publishes that failed later
	dirRights rights               // of generations and of directories below
	newGID    int                  // the group that a new file has
	shared    bool                 // others can write in the directory
	closed    bool

	old      []oldGeneration // oldest first
	stuck    []string        // more of them, that could not be removed
	unsynced []string        // directories that are to be synced before one of old goes
	tidying  *time.Timer     // for both

	watch    watch
	tampered chan struct{} // capacity 1
}

// Open prepares a directory for publishing and takes the lock of its set: Check,
// create what is missing, finish or clear what earlier runs left. Nothing that is
// published goes. Close gives it back. When it fails, it can be called again.
func Open(spec Spec, log *slog.Logger) (*Dir, error) {
	if err := Check(spec, nil); err != nil {
		return nil, err
	}
	d := &Dir{spec: spec, log: log.With("output", spec.Dir), owners: map[[2]string][2]int{}, tampered: make(chan struct{}, 1)}
	d.tidying = time.AfterFunc(time.Hour, d.tidyLater)
	d.tidying.Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.attach(); err != nil {
		return nil, fmt.Errorf("output %s: %w", spec.Dir, err)
	}
	return d, nil
}

// attach opens the directory, takes its lock and clears litter.
func (d *Dir) attach() (err error) {
	r, p, created, err := openDir(d.spec.Dir)
	if err != nil {
		return err
	}
	if d.path != "" && len(p.unsafe) > len(d.unsafe) { // no longer what the configuration meant
		r.Close()
		return fmt.Errorf("the directory was replaced: %s", p.unsafe[len(p.unsafe)-1])
	}
	d.fs, d.path, d.unsafe, d.have, d.old, d.stuck, d.unsynced = newFsys(p.path, r), p.path, p.unsafe, nil, nil, nil, nil
	defer func() {
		if err != nil {
			d.detach()
		}
	}()
	if d.id, err = d.fs.Lstat("."); err != nil {
		return failed("look at", d.path, err)
	}
	d.mode = cmp.Or(d.spec.Publish, DefaultMode())
	d.fsync = !d.spec.NoFsync && !inMemory(d.path)
	if d.lock, err = lockDir(r, d.path, d.spec.Set); err != nil {
		return err
	}
	if d.lock.unsupported {
		d.log.Warn("the file system has no locks: nothing keeps a second helper away")
	}
	if d.lock.plain {
		d.log.Warn("the file system keeps no owners or modes: every user that sees it can read what is published")
	}
	if err := d.setDirRights(created); err != nil {
		return err
	}
	if err := d.checkData(); err != nil {
		return err
	}
	if err := d.recover(); err != nil {
		return err
	}
	if err := d.sweep(); err != nil {
		return err
	}
	return d.checkLinks()
}

// detach gives the directory back.
func (d *Dir) detach() error {
	var errs []error
	d.watch.close()
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

// Close ends the watch on the directory and gives up its lock. What is published
// stays; every previous generation goes.
func (d *Dir) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.tidy(time.Time{})
	d.closed = true
	d.tidying.Stop()
	err := d.detach()
	d.mu.Unlock()
	d.watch.wait() // without the lock, which its goroutine takes
	return err
}

// Publish makes the directory hold the files, and says what that changed for a
// reader. A file that an earlier publish put there and that is not among them goes,
// unless keep says that it stays; a nil keep keeps none. When one goes, every
// previous generation goes at once. Files that are published already cost a
// comparison with what the Dir remembers.
//
// When it fails in symlink mode before the new set is visible, what was published
// before still is, and nothing else. When it fails later, or in another mode, the
// next Publish completes it. It is the caller's to decide when that is.
func (d *Dir) Publish(files []File, keep func(name string) bool) (Change, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return Change{}, fmt.Errorf("publish to %s: the directory has been closed", d.spec.Dir)
	}
	err := d.publish(files, keep)
	d.watch.add(d, d.current())
	if d.fs != nil {
		d.fs.Forget(d.current())
	}
	if err != nil {
		d.have = nil                       // whatever it was, look again
		if errors.Is(err, syscall.EROFS) { // and through the mount that is there then
			d.detach()
		}
		return Change{}, fmt.Errorf("publish to %s: %w%s", d.spec.Dir, err, d.advice(err))
	}
	change := d.unsaid
	d.unsaid = Change{}
	return change, nil
}

// current is the current generation, as far as it is known.
func (d *Dir) current() string {
	if d.have == nil {
		return ""
	}
	return d.have.gen
}

// advice says what to do about an error that does not say so itself.
func (d *Dir) advice(err error) string {
	if errors.Is(err, syscall.EBUSY) && d.mode != ModeInPlace {
		return fmt.Sprintf(": if it is a mount point of its own, mount the whole directory or set publish = %q", ModeInPlace)
	}
	return ""
}

func (d *Dir) publish(files []File, keep func(name string) bool) error {
	if err := d.reattach(); err != nil {
		return err
	}
	if d.have == nil {
		if err := d.look(files); err != nil {
			return err
		}
	}
	p, err := d.plan(files, keep)
	if err != nil {
		return err
	}
	if d.have.fresh || p.named {
		if err := d.claim(p); err != nil {
			return err
		}
	}
	if !p.nothing(d.have) {
		if err := d.run(p); err != nil {
			return err
		}
	}
	p.done(d.have)
	if d.watch.asked && (p.named || !p.aligned) {
		d.watch.know(d.have.files)
	}
	if p.took {
		d.dropEmptySets()
	}
	return nil
}

// run publishes what is planned. Without room on the disk it does so once more,
// after the previous generations have gone.
func (d *Dir) run(p *plan) error {
	t := &transaction{Dir: d, plan: p}
	publish := t.publishFiles
	if d.mode == ModeSymlink {
		publish = t.publishSymlink
	}
	err := publish()
	if (errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota)) && !t.visible && len(d.old) > 0 {
		d.tidy(time.Time{})
		err = publish()
	}
	if err == nil && p.record == "" && d.have.record != "" { // of another mode
		d.cleared(recordName, d.fs.Remove(own(recordName, d.spec.Set)))
	}
	return err
}

// says notes what a reader sees from now on, whatever fails later.
func (t *transaction) says() {
	t.visible = true
	union := func(a, b []string) []string { return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b)))) }
	t.unsaid = Change{union(t.unsaid.Changed, t.change.Changed), union(t.unsaid.Removed, t.change.Removed)}
}

// look finds out what is on disk, and gives directories their rights again.
func (d *Dir) look(files []File) (err error) {
	d.fs.Forget("")
	if err := d.setDirRights(false); err != nil {
		return err
	}
	if err := d.recover(); err != nil {
		return err
	}
	if err := d.sweepLinks(); err != nil {
		return err
	}
	have, err := d.inspect(files)
	if err != nil {
		return err
	}
	if have.gen != "" && have.trusted {
		for _, dir := range below(have.gen, have.dirs) {
			if err := d.setRights(dir, d.dirRights); err != nil && !absent(err) {
				return err
			}
		}
	}
	d.have = have
	return nil
}

// reattach opens the directory anew when its path leads elsewhere by now or, after
// a failure or damage, when the lock file has been exchanged.
func (d *Dir) reattach() error {
	if d.fs != nil {
		same, err := d.attached()
		if err != nil {
			return err
		}
		if same && (d.have != nil || d.lock.held(d.fs)) {
			return nil
		}
		d.log.Warn("the directory was replaced by another program; opening it again")
		d.detach()
	}
	return d.attach()
}

// attached reports whether the output's path still leads to the directory that is
// open.
func (d *Dir) attached() (bool, error) {
	named, err := lookAt(d.path)
	if absent(err) {
		return false, nil
	}
	return err == nil && named.same(d.id), failed("look at", d.path, err)
}

// owner looks up the owner and the group that a file is to have, once.
func (d *Dir) owner(f File) ([2]int, error) {
	owner, group := d.spec.ownerOf(f)
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

// cleared logs that something that is not needed any more could not be removed.
func (d *Dir) cleared(name string, err error) {
	if err != nil && !absent(err) {
		d.log.Warn("cannot remove what is not needed any more; it is tried again", "name", name, "error", err)
	}
}
