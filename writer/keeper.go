package writer

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/svidhelper/svidhelper/fswatch"
)

// retirement is how long a previous generation stays for its readers.
var retirement = time.Second

const (
	// settling is how long to wait for more after the first sign of damage, so
	// that an emptied directory is one case and not many.
	settling = 20 * time.Millisecond
	// patience is the shortest time between two reports of damage.
	patience = time.Second
	// lookAgain is how often a directory is looked at that cannot be watched.
	lookAgain = patience / 2
)

// A keeper looks after a directory between publishes: it removes previous
// generations when their time has come, and hears, if somebody has asked, when
// others touch what is published. For that it has a second goroutine, which only
// listens, so that the kernel's queue is drained whatever the first waits for.
type keeper struct {
	dir      *Dir
	tampered chan struct{}                   // capacity 1
	watcher  atomic.Pointer[fswatch.Watcher] // nil: nobody has asked, or there is none
	asked    bool                            // for a watch; guarded by the directory's lock
	wake     chan struct{}                   // capacity 1
	done     chan struct{}
	tending  sync.WaitGroup
	hearing  sync.WaitGroup
	blind    atomic.Bool // something cannot be watched, and that has been said: look by itself

	mu       sync.Mutex
	path     string          // of the directory
	suspects map[string]bool // names that something happened to
	old      []retired       // previous generations, oldest first
}

// retired is a previous generation.
type retired struct {
	root  *os.Root // that it is in
	gen   string
	dirs  []string // in it
	stale []string // names that the generation after it does not share
	next  string   // that generation
	due   time.Time
}

// newWatcher makes the watcher of a directory; a user has only so many.
var newWatcher = func(string) (*fswatch.Watcher, error) { return fswatch.New() }

// startKeeper starts the keeper of a directory that is attached.
func startKeeper(d *Dir) *keeper {
	k := &keeper{
		dir: d, path: d.path, tampered: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		done: make(chan struct{}), suspects: map[string]bool{},
	}
	k.tending.Go(k.tend)
	return k
}

// startWatch begins to watch the directory, and has all of it looked at once,
// since nobody has until now. The directory must be locked by the caller.
func (k *keeper) startWatch() {
	if k.asked {
		return
	}
	k.asked = true
	w, err := newWatcher(k.base())
	if err != nil {
		k.cannotWatch(err)
		return
	}
	k.watcher.Store(w)
	k.hearing.Go(func() { k.listen(w) })
	k.watch("")
	if have := k.dir.have; have != nil {
		k.watch(have.watched()...)
	}
	k.suspect(filepath.Join(k.base(), lostName))
}

// stop ends both goroutines. The directory must not be locked by the caller.
func (k *keeper) stop() {
	close(k.done)
	k.tending.Wait() // on Windows, a watch that is ended while its watcher closes never returns
	if w := k.watcher.Load(); w != nil {
		w.Close()
	}
	k.hearing.Wait()
}

// watch begins to watch a directory below the output's, or the output's own.
func (k *keeper) watch(dirs ...string) {
	w := k.watcher.Load()
	if w == nil {
		return
	}
	for _, dir := range dirs {
		err := w.Add(filepath.Join(k.base(), dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.cannotWatch(err)
		}
	}
}

// cannotWatch has the directory looked at from now on: the user is out of inotify
// instances or watches.
func (k *keeper) cannotWatch(err error) {
	if !k.blind.Swap(true) {
		k.dir.log.Info("cannot watch the output for damage by others: looking at it", "output", k.dir.spec.Dir, "every", lookAgain, "error", err)
	}
	k.rouse()
}

// unwatch ends the watch on directories that are about to go.
func (k *keeper) unwatch(dirs ...string) {
	w := k.watcher.Load()
	if w == nil {
		return
	}
	for _, dir := range dirs {
		w.Remove(filepath.Join(k.base(), dir)) // not watched is as good
	}
}

// rewatch watches the output's directory anew: its path leads elsewhere by now.
func (k *keeper) rewatch(path string) {
	k.unwatch("")
	k.mu.Lock()
	k.path = path
	k.mu.Unlock()
	k.watch("")
}

func (k *keeper) base() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.path
}

// retire has a previous generation removed after a while. The directory must be
// locked by the caller.
func (k *keeper) retire(old retired, after time.Duration) {
	old.due, old.root = time.Now().Add(after), k.dir.root
	k.mu.Lock()
	k.old = append(k.old, old)
	k.mu.Unlock()
	k.rouse()
}

func (k *keeper) rouse() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// listen notes what happens in the directory.
func (k *keeper) listen(w *fswatch.Watcher) {
	events, errs := w.Events, w.Errors
	for events != nil || errs != nil {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
			} else {
				k.suspect(e.Name)
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
			} else {
				k.dir.log.Debug("watching the output", "output", k.dir.spec.Dir, "error", err)
				k.suspect(filepath.Join(k.base(), lostName))
			}
		}
	}
}

// lostName stands for every name: events were lost, and anything may have
// happened.
const lostName = "..lost"

// suspect notes a path that something happened to, unless it is of no interest:
// most are the helper's own doing.
func (k *keeper) suspect(p string) {
	rel, err := filepath.Rel(k.base(), p)
	if err != nil {
		return
	}
	name := filepath.ToSlash(rel)
	if first, rest, below := strings.Cut(name, "/"); strings.HasPrefix(first, genPrefix) {
		if name = rest; !below {
			name = dataName // which tells whether it is the current one
		}
	}
	if strings.HasPrefix(path.Base(name), "..") && name != dataName && name != lockName && name != lostName {
		return
	}
	k.mu.Lock()
	k.suspects[name] = true
	k.mu.Unlock()
	k.rouse()
}

// tend waits for what is to be done, and does it.
func (k *keeper) tend() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var (
		settled  time.Time // when to look at the suspects; zero: there are none
		damaged  bool      // damage was found and not reported yet
		reported time.Time
		looked   time.Time // only if the directory cannot be watched
	)
	for {
		next := k.nextRetirement()
		if !settled.IsZero() {
			next = earlier(next, settled)
		}
		if damaged {
			next = earlier(next, reported.Add(patience))
		}
		if k.blind.Load() {
			next = earlier(next, looked.Add(lookAgain))
		}
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case <-k.done:
			return
		case <-k.wake:
		case <-timer.C:
		}
		now := time.Now()
		if k.blind.Load() && now.Sub(looked) >= lookAgain {
			looked = now
			k.suspect(filepath.Join(k.base(), lostName))
		}
		if settled.IsZero() && k.suspicious() {
			settled = now.Add(settling)
		}
		if !settled.IsZero() && !now.Before(settled) {
			settled = time.Time{}
			damaged = k.dir.damaged(k.takeSuspects()) || damaged
		}
		if damaged && now.Sub(reported) >= patience {
			damaged, reported = false, now
			select {
			case k.tampered <- struct{}{}:
			default:
			}
		}
		for _, old := range k.takeRetired(now) {
			k.dir.discard(old)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func (k *keeper) suspicious() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.suspects) > 0
}

func (k *keeper) takeSuspects() map[string]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	taken := k.suspects
	k.suspects = map[string]bool{}
	return taken
}

func (k *keeper) nextRetirement() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.old) == 0 {
		return time.Time{}
	}
	return k.old[0].due
}

func (k *keeper) takeRetired(now time.Time) (old []retired) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.old) > 0 && !now.Before(k.old[0].due) {
		old = append(old, k.old[0])
		k.old = k.old[1:]
	}
	return old
}
