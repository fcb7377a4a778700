package writer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"
)

// A transaction is one publish under way.
type transaction struct {
	*Dir
	*plan
	undo  []func() error
	files []file // overwritten, open until the end
	// journal says that the directory can hold what a crash is mended with.
	journal bool
}

// run publishes, or leaves everything as it was.
func (t *transaction) run() (err error) {
	defer func() {
		for _, f := range t.files {
			f.Close() // synced before, if at all
		}
	}()
	switch t.mode {
	case ModeSymlink:
		err = t.publishSymlink()
	default:
		err = t.publishFiles()
	}
	if err == nil {
		if t.record == "" && t.have.record != "" { // another mode's
			t.cleared(t.fs.Remove(recordName))
		}
		return nil
	}
	for i := len(t.undo) - 1; i >= 0; i-- {
		if uerr := t.undo[i](); uerr != nil {
			err = errors.Join(err, fmt.Errorf("undoing it: %w", uerr))
		}
	}
	return err
}

// onFailure has undo called when a later step fails.
func (t *transaction) onFailure(undo func() error) { t.undo = append(t.undo, undo) }

// mkdir makes a directory of ours, with the rights of the output's.
func (t *transaction) mkdir(name string) error {
	if err := t.fs.Mkdir(name, t.dirRights.mode.Perm()); err != nil {
		return failed("make directory", name, err)
	}
	if err := t.setRights(name, t.dirRights); err != nil {
		return errors.Join(err, failed("remove", name, t.fs.Remove(name)))
	}
	return nil
}

// makeNew makes what create makes under the first of numbered names, from a
// number on, that is free, and returns the name. Whatever stands under the
// others is not ours to trust.
func makeNew(prefix string, number int, create func(name string) error) (string, error) {
	const tries = 1000
	var err error
	for n := range tries {
		name := fmt.Sprint(prefix, number+n)
		if err = create(name); err == nil || !errors.Is(err, os.ErrExist) {
			return name, err
		}
	}
	return "", err
}

// openFiles is how many files are open at a time, and synced in one go.
const openFiles = 64

// syncers is how many files are synced at the same time.
var syncers = 8

// writeAll writes items below a directory, and syncs them and the directories.
func (t *transaction) writeAll(dir string, items []item, dirs []string) error {
	for len(items) > openFiles {
		if err := t.writeSome(dir, items[:openFiles], nil); err != nil {
			return err
		}
		items = items[openFiles:]
	}
	return t.writeSome(dir, items, dirs)
}

func (t *transaction) writeSome(dir string, items []item, dirs []string) (err error) {
	open := map[string]file{}
	defer func() {
		for name, f := range open {
			if cerr := f.Close(); cerr != nil && err == nil {
				err = failed("close", name, cerr)
			}
		}
	}()
	for _, it := range items {
		name := path.Join(dir, it.Name)
		f, err := t.create(name, it)
		if f != nil {
			open[name] = f
		}
		if err != nil {
			return err
		}
	}
	if !t.fsync {
		return nil
	}
	for _, name := range dirs {
		if !canSyncDirs {
			break
		}
		f, err := t.fs.OpenFile(name, os.O_RDONLY|openNonblock, 0)
		if err != nil {
			return failed("open directory", name, err)
		}
		open[name] = f
	}
	return syncAll(open)
}

// create writes a new file that nobody but its owner can read until it has its
// rights. The file is open when it is not nil.
func (t *transaction) create(name string, it item) (file, error) {
	f, err := t.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|openNonblock, it.rights.mode&0o600)
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

// syncAll syncs open files, some at the same time, since a file system commits
// those together.
func syncAll(files map[string]file) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, syncers)
	)
	for name, f := range files {
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

// syncDir makes what happened in a directory last.
func (d *Dir) syncDir(name string) error {
	if !d.fsync || !canSyncDirs {
		return nil
	}
	f, err := d.fs.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return failed("open directory", name, err)
	}
	err = failed("sync directory", name, f.Sync())
	if cerr := f.Close(); err == nil {
		err = failed("close directory", name, cerr)
	}
	return err
}

// linkTarget is what the visible name links to.
func linkTarget(name string) string {
	return strings.Repeat("../", strings.Count(name, "/")) + dataName + "/" + name
}
