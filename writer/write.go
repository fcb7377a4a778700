package writer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"
)

// A transaction is one publish under way.
type transaction struct {
	*Dir
	*plan
	visible bool // a reader can see some of it
}

// mkdir makes a directory of ours, with the rights of the output's.
func (d *Dir) mkdir(name string) error { return d.mkdirFor(name, d.dirRights) }

// mkdirFor makes a directory of ours.
func (d *Dir) mkdirFor(name string, r rights) error {
	if err := d.fs.Mkdir(name, r.mode.Perm()); err != nil {
		return failed("make directory", name, err)
	}
	if err := d.setRights(name, r); err != nil {
		return errors.Join(err, failed("remove", name, d.fs.Remove(name)))
	}
	return nil
}

// makeNew makes what create makes under the first of numbered names, from a
// number on, that is free, and returns the name. What stands under the others is
// not to be trusted.
func (d *Dir) makeNew(base string, number int, create func(name string) error) (string, error) {
	const tries = 1000
	var err error
	for n := range tries {
		name := fmt.Sprintf("%s-%d", own(base, d.spec.Set), number+n)
		if err = create(name); err == nil || !errors.Is(err, os.ErrExist) {
			return name, err
		}
	}
	return "", err
}

// newGeneration makes a directory for a generation, or for what becomes one.
func (d *Dir) newGeneration() (string, error) {
	d.makeRoom()
	gen, err := d.makeNew(genName, d.number, d.mkdir)
	d.number++
	return gen, err
}

// openFiles is how many files are open at a time, and synced in one go.
const openFiles = 64

// syncers is how many files are synced at the same time.
var syncers = 8

// writeAll writes items below a directory, and syncs them and other directories.
func (d *Dir) writeAll(dir string, items []item, dirs []string) error {
	for len(items) > openFiles {
		if err := d.writeSome(dir, items[:openFiles], nil); err != nil {
			return err
		}
		items = items[openFiles:]
	}
	return d.writeSome(dir, items, dirs)
}

func (d *Dir) writeSome(dir string, items []item, dirs []string) (err error) {
	open := map[string]syncer{}
	defer func() {
		for name, f := range open {
			if c, ok := f.(io.Closer); ok {
				if cerr := c.Close(); cerr != nil && err == nil {
					err = failed("close", name, cerr)
				}
			}
		}
	}()
	for _, it := range items {
		name := path.Join(dir, it.Name)
		f, err := d.create(name, it)
		if f != nil {
			open[name] = f
		}
		if err != nil {
			return err
		}
	}
	if !d.fsync {
		return nil
	}
	for _, name := range dirs {
		if !canSyncDirs {
			break
		}
		f, err := d.fs.OpenDir(name)
		if absent(err) {
			continue // removed since
		}
		if err != nil {
			return failed("open directory", name, err)
		}
		open[name] = onlySync{f}
	}
	return syncAll(open)
}

// onlySync hides the Close of a directory that the fsys keeps.
type onlySync struct{ syncer }

// syncDirs makes what happened in directories last.
func (d *Dir) syncDirs(dirs []string) error { return d.writeSome("", nil, dirs) }

// create writes a new file that only its owner can read until it has its rights.
// The file is open when it is not nil.
func (d *Dir) create(name string, it item) (file, error) {
	f, err := d.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|openNonblock, it.rights.mode&0o600)
	if err != nil {
		return nil, failed("create", name, err)
	}
	if err := writeFull(f, it.Data); err != nil {
		return f, failed("write", name, err)
	}
	return f, failed("set the rights of", name, it.rights.give(f))
}

func writeFull(w io.Writer, data []byte) error {
	n, err := w.Write(data)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	return err
}

// syncAll syncs files and directories, some at the same time, since a file system
// commits those together.
func syncAll(all map[string]syncer) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, syncers)
	)
	for name, f := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := f.Sync(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = failed("sync", name, err)
				}
			}
		})
	}
	wg.Wait()
	return first
}
