package writer

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/svidhelper/svidhelper/fswatch"
)

const (
	// settling is how long to wait for more after the first sign of damage, so
	// that an emptied directory is one case and not many.
	settling = 20 * time.Millisecond
	// patience is the shortest time between two reports of damage.
	patience = time.Second
	// A directory that cannot be watched is looked at: after the first of these
	// times, then after twice as long each time, up to the last.
	firstLook, lastLook = 30 * time.Second, 8 * time.Minute
)

// A watch hears when other programs touch what is published: the directory itself
// and the current generation. What lies in directories below is looked at when
// something happens to those two.
type watch struct {
	asked     bool             // for Tampered
	events    *fswatch.Watcher // nil: there is none
	listening sync.WaitGroup
	gen       string        // the generation that is watched
	every     time.Duration // between looks, when nothing can be heard; 0: it can

	// What follows is the listening goroutine's too. It never waits for a publish.
	names    atomic.Pointer[map[string]bool] // in the directory, that matter
	mu       sync.Mutex
	looking  *time.Timer // for what has been heard
	due      time.Time   // when it fires; zero: it does not
	reported time.Time   // when damage was last told
}

// newWatcher makes the watcher of a directory; a user has only so many.
var newWatcher = func(string) (*fswatch.Watcher, error) { return fswatch.New() }

// Tampered receives when another program has deleted, replaced or changed the
// rights of what is published, at most once a second. Publish then repairs it. The
// directory is watched from the first call on.
func (d *Dir) Tampered() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.watch.asked {
		return d.tampered
	}
	d.watch.asked = true
	d.watch.looking = time.AfterFunc(time.Hour, d.lookNow)
	d.watch.looking.Stop()
	d.watch.add(d, d.current())
	if d.have != nil {
		d.watch.know(d.have.files)
	}
	d.watch.lookIn(0) // nothing has been heard until now
	return d.tampered
}

// add watches the directory and its current generation from now on.
func (w *watch) add(d *Dir, gen string) {
	if !w.asked || d.closed || d.fs == nil {
		return
	}
	err := w.open(d, gen)
	switch {
	case err == nil:
		w.every = 0
	case w.every == 0:
		d.log.Info("cannot watch the output: looking at it for damage by other programs now and then", "first_after", firstLook, "error", err)
		w.every = firstLook
		w.lookIn(w.every)
	}
}

func (w *watch) open(d *Dir, gen string) error {
	if w.events == nil {
		events, err := newWatcher(d.path)
		if err != nil {
			return err
		}
		w.events, w.gen = events, ""
		dir := d.path
		w.listening.Go(func() { d.listen(events, dir) })
	}
	if err := w.events.Add(d.path); err != nil || gen == w.gen {
		return err
	}
	w.gen = gen
	if gen == "" {
		return nil
	}
	return w.events.Add(filepath.Join(d.path, gen))
}

// pause stops hearing what happens in the directory until add is called: it is our
// own doing.
func (w *watch) pause(d *Dir) {
	if w.events != nil {
		_ = w.events.Pause(d.path) // otherwise it looks once for nothing
	}
}

// drop stops watching a generation that is about to go.
func (w *watch) drop(d *Dir, gen string) {
	if w.events != nil {
		_ = w.events.Remove(filepath.Join(d.path, gen)) // not watched is as good
	}
}

// close ends the watch; wait waits for its goroutine.
func (w *watch) close() {
	if w.events != nil {
		_ = w.events.Close()
		w.events = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.due, w.every = (time.Time{}), 0; w.looking != nil {
		w.looking.Stop()
	}
}

func (w *watch) wait() { w.listening.Wait() }

// listen hears what happens, and has everything looked at, soon, when it matters.
func (d *Dir) listen(w *fswatch.Watcher, dir string) {
	events, errs := w.Events, w.Errors
	for events != nil || errs != nil {
		matters := false
		select {
		case e, ok := <-events:
			if matters = ok && d.matters(e, dir); !ok {
				events = nil
			}
		case _, ok := <-errs:
			if matters = ok; !ok { // else anything may have happened
				errs = nil
			}
		}
		if matters {
			d.watch.lookIn(settling)
		}
	}
}

// matters reports whether an event is of what is published. Generations that are
// removed are our own doing; the current one is emptied first.
func (d *Dir) matters(e fswatch.Event, dir string) bool {
	rel := strings.TrimPrefix(strings.TrimPrefix(e.Name, dir), string(filepath.Separator))
	name, rest, _ := strings.Cut(filepath.ToSlash(rel), "/")
	switch base, set, ok := parseOwn(name); {
	case name == "":
		return true
	case ok && base == genName:
		return set == d.spec.Set && (rest != "" || e.Has(fsnotify.Chmod))
	case ok:
		return set == d.spec.Set && (base == dataName || base == lockName)
	}
	names := d.watch.names.Load()
	return names != nil && (*names)[name]
}

// know tells the listening goroutine which names in the directory matter.
func (w *watch) know(files []held) {
	names := make(map[string]bool, len(files))
	for _, h := range files {
		first, _, _ := strings.Cut(h.Name, "/")
		names[first] = true
	}
	w.names.Store(&names)
}

// lookIn has everything looked at after a while, unless that is to happen earlier,
// and so that damage is not reported too often.
func (w *watch) lookIn(after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	after = max(after, patience-time.Since(w.reported))
	due := time.Now().Add(after)
	if w.looking != nil && (w.due.IsZero() || due.Before(w.due)) {
		w.due = due
		w.looking.Reset(after)
	}
}

// lookNow looks at everything that is published, and tells of damage.
func (d *Dir) lookNow() {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &d.watch
	w.mu.Lock()
	w.due = time.Time{}
	early := time.Since(w.reported) < patience // something was heard while damage was being reported
	w.mu.Unlock()
	if d.closed {
		return
	}
	if early {
		w.lookIn(0)
		return
	}
	damaged := d.damaged()
	if d.fs != nil {
		d.fs.Forget(d.current())
	}
	if damaged {
		d.have = nil
		w.mu.Lock()
		w.reported = time.Now()
		w.mu.Unlock()
		select {
		case d.tampered <- struct{}{}:
		default:
		}
	}
	if w.every > 0 {
		if damaged {
			w.every = firstLook
		}
		w.lookIn(w.every)
		w.every = min(2*w.every, lastLook)
	}
}

// damaged reports whether something is not as it was published.
func (d *Dir) damaged() bool {
	if d.have == nil || d.fs == nil {
		return false // not published, or to be looked at in any case
	}
	d.fs.Forget("")
	var names []string
	if same, err := d.attached(); !same && err == nil || !d.lock.held(d.fs) || !d.rightDir(".", d.spec.DirMode) {
		names = append(names, ".")
	}
	if gen, _, err := d.generation(); d.mode == ModeSymlink && err == nil && (gen != d.have.gen || !d.rightDir(gen, d.dirRights.mode)) {
		names = append(names, own(dataName, d.spec.Set))
	}
	for _, h := range d.have.files {
		if !d.intact(h) {
			names = append(names, h.Name)
		}
	}
	if len(names) > 0 {
		d.log.Warn("another program changed what is published; it is published again", "names", names[:min(len(names), 10)])
	}
	return len(names) > 0
}

// rightDir reports whether a directory has a mode, if there is one to have.
func (d *Dir) rightDir(name string, mode fs.FileMode) bool {
	if name == "" || mode == 0 || d.lock.plain {
		return true
	}
	s, err := d.fs.Lstat(name)
	return err == nil && modeEqual(s.mode, mode)
}

// intact reports whether a file is as it was published.
func (d *Dir) intact(h held) bool {
	place := h.Name
	if d.mode == ModeSymlink {
		if d.linked(h.Name) != h.linked {
			return false
		}
		place = path.Join(d.have.gen, h.Name)
	}
	if h.Data == nil { // kept from an earlier run, and never wanted since
		return true
	}
	s, same := d.compare(place, h.File)
	return same && d.has(s, h.rights)
}
