package writer

import (
	"runtime"
	"slices"
	"time"
)

// mostOld is how many previous generations stay at most: each holds a key.
const mostOld = 8

// retirement is how long a previous generation stays for its readers.
var retirement = time.Second

// oldGeneration is a previous generation.
type oldGeneration struct {
	gen string
	due time.Time // when it goes
}

// retire has a previous generation removed after a while.
func (d *Dir) retire(gen string) {
	d.old = append(d.old, oldGeneration{gen, time.Now().Add(retirement)})
	if len(d.old) >= mostOld { // the oldest one makes room for the next publish's
		d.old[0].due = time.Now()
		d.tidying.Reset(0)
	} else if len(d.unsynced) == 0 { // or the timer is set for that
		d.tidying.Reset(retirement)
	}
}

// makeRoom keeps the number of previous generations for a caller that publishes
// faster than the timer removes them.
func (d *Dir) makeRoom() {
	if len(d.old) >= mostOld {
		d.tidy(d.old[0].due)
	}
}

// changedDir notes that a directory is to be synced before a previous generation
// goes.
func (d *Dir) changedDir(dir string) {
	if d.fsync && canSyncDirs && !slices.Contains(d.unsynced, dir) {
		d.unsynced = append(d.unsynced, dir)
		d.tidying.Reset(0)
	}
}

// sync makes what was published last.
func (d *Dir) sync() error {
	err := d.syncDirs(d.unsynced)
	if err == nil {
		d.unsynced = nil
	}
	return err
}

// tidyLater runs when the timer says so.
func (d *Dir) tidyLater() {
	// The goroutines that the caller has woken go first: they tell others of the new set.
	runtime.Gosched()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed && d.fs != nil {
		d.tidy(time.Now())
		d.fs.Forget(d.current())
	}
}

// tidy syncs what was published, and removes the previous generations whose time
// has come; the zero time removes all of them. What fails is logged, and tried
// again after the next publish.
func (d *Dir) tidy(now time.Time) {
	if d.fs == nil {
		return
	}
	if len(d.unsynced) > 0 {
		if err := d.sync(); err != nil {
			d.log.Error("cannot make what is published last: a power cut can bring the previous files back", "error", err)
			return
		}
	}
	d.stuck = slices.DeleteFunc(d.stuck, func(gen string) bool { return d.fs.RemoveAll(gen) == nil })
	for len(d.old) > 0 && (now.IsZero() || !d.old[0].due.After(now)) {
		gen := d.old[0].gen
		d.old = d.old[1:]
		d.watch.drop(d, gen)
		if err := d.fs.RemoveAll(gen); err != nil { // on a network file system, a reader may have it open
			d.cleared(gen, err)
			d.stuck = append(d.stuck, gen)
		}
	}
	if len(d.old) > 0 {
		d.tidying.Reset(time.Until(d.old[0].due))
	}
}
