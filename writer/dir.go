package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
)

// A Dir is the directory of an output, opened for publishing. Its methods can
// be called from any goroutine; publishes happen one at a time.
type Dir struct {
	spec Spec
	mode Mode
	log  *slog.Logger
	path string // of spec.Dir, symbolic links resolved

	mu        sync.Mutex
	fs        fsys
	root      *os.Root // the same directory, for what is no part of a publish
	lock      *dirLock
	fsync     bool
	owners    map[[2]string][2]int // uid and gid of an owner and a group
	have      *published           // nil: look at the disk before the next publish
	number    int                  // of the next generation
	spare     *spare               // a retired generation that can become the next one
	stuck     []stuck              // the keeper's: what it could not remove
	dirRights rights               // of generations and of directories below
	closed    bool

	keeper *keeper
}

// Open prepares a directory for publishing and takes its lock: Check, create
// what is missing, clear what earlier runs left. Close gives it back.
func Open(spec Spec, log *slog.Logger) (*Dir, error) {
	if err := Check(spec, nil); err != nil {
		return nil, err
	}
	d := &Dir{spec: spec, log: log, owners: map[[2]string][2]int{}}
	if err := d.attach(); err != nil {
		return nil, fmt.Errorf("output %s: %w", spec.Dir, err)
	}
	d.keeper = startKeeper(d)
	return d, nil
}

// attach opens the directory, takes its lock and clears litter.
func (d *Dir) attach() (err error) {
	r, created, err := openDir(d.spec.Dir)
	if err != nil {
		return err
	}
	d.fs, d.root, d.path, d.have, d.spare = newFsys(r), r, r.Name(), nil, nil
	defer func() {
		if err != nil {
			d.detach()
		}
	}()
	d.mode = d.spec.mode(d.path)
	d.fsync = !d.spec.NoFsync && !inMemory(d.path)
	if d.lock, err = lockDir(r); err != nil {
		return err
	}
	if d.lock.unsupported {
		d.log.Warn("the file system has no locks: nothing keeps a second helper away", "output", d.spec.Dir)
	}
	if d.lock.plain {
		d.log.Warn("the file system keeps no owners or modes: whoever sees it can read what is published", "output", d.spec.Dir)
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
	closed := d.closed
	d.closed = true
	d.mu.Unlock()
	if closed {
		return nil
	}
	d.keeper.stop() // without the lock, which its goroutines take
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.detach()
}

// Tampered receives when somebody else has deleted, replaced or changed the
// rights of what is published, at most once a second. Publish then repairs it.
// The directory is watched from the first call on; who publishes once and is done
// need not wait for the kernel to end a watch.
func (d *Dir) Tampered() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.keeper.startWatch()
	}
	return d.keeper.tampered
}

// Publish makes the directory hold the files, and says what that changed for a
// reader. A file that an earlier publish put there and that is not among them goes,
// unless keep says that it stays; a nil keep keeps none. Files that are published
// already cost a comparison with what the Dir remembers. When it fails, what was
// published before still is, and nothing else; publishing again is the caller's to
// decide.
func (d *Dir) Publish(files []File, keep func(name string) bool) (Change, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tryPublish(files, keep)
}

func (d *Dir) tryPublish(files []File, keep func(name string) bool) (Change, error) {
	if d.closed {
		return Change{}, fmt.Errorf("publish to %s: the directory has been closed", d.spec.Dir)
	}
	change, err := d.publish(files, keep)
	if err != nil {
		d.have = nil // whatever it was, look again
		return Change{}, fmt.Errorf("publish to %s: %w%s", d.spec.Dir, err, d.advice(err))
	}
	return change, nil
}

// advice says what to do about an error that does not say so itself.
func (d *Dir) advice(err error) string {
	if errors.Is(err, syscall.EBUSY) && d.mode != ModeInPlace {
		return fmt.Sprintf(": if it is a mount point of its own, mount the whole directory or set publish = %q", ModeInPlace)
	}
	return ""
}

// Remove takes everything published out of the directory, previous generations
// included: what has been revoked is not left to slow readers.
func (d *Dir) Remove() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.tryPublish(nil, nil); err != nil {
		return err
	}
	entries, err := d.fs.ReadDir(".")
	if err != nil {
		return failed("read directory", d.path, err)
	}
	d.spare = nil
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), genPrefix) && ownName(e.Name()) && e.Name() != d.have.gen {
			errs = append(errs, failed("remove", e.Name(), d.fs.RemoveAll(e.Name())))
		}
	}
	return errors.Join(errs...)
}

func (d *Dir) publish(files []File, keep func(name string) bool) (Change, error) {
	if err := d.reattach(); err != nil {
		return Change{}, err
	}
	want, err := d.items(files)
	if err != nil {
		return Change{}, err
	}
	if d.have == nil {
		d.dropSpare() // it shares files with what is in doubt
		if err := d.look(want); err != nil {
			return Change{}, err
		}
	}
	p := d.plan(want, keep)
	if !p.nothing(d.have) {
		if err := (&transaction{Dir: d, plan: p}).run(); err != nil {
			return Change{}, err
		}
	}
	p.done(d.have)
	return p.change, nil
}

// look finds out what is on disk, gives directories their rights again, and
// begins to watch.
func (d *Dir) look(want []item) (err error) {
	if err := d.setDirRights(false); err != nil {
		return err
	}
	have, err := d.inspect(want)
	if err != nil {
		return err
	}
	for _, dir := range have.genDirs() {
		if err := d.setRights(dir, d.dirRights); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	d.keeper.watch(have.watched()...)
	d.have = have
	return nil
}

// reattach opens the directory anew when its path leads elsewhere by now, or,
// after a failure or damage, through another mount, or when the lock file has
// been exchanged.
func (d *Dir) reattach() error {
	if d.fs != nil {
		same, err := d.attached()
		if err != nil {
			return err
		}
		if same && (d.have != nil || d.locked() && sameMount(d.lock.File, d.path)) {
			return nil
		}
		d.log.Warn("the directory was replaced by somebody else; opening it again", "output", d.spec.Dir)
		d.detach()
	}
	if err := d.attach(); err != nil {
		return err
	}
	d.keeper.rewatch(d.path)
	return nil
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
