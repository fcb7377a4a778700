//go:build unix

package writer

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
)

// repaired waits until the directory is reported as damaged, publishes again, and
// returns how long that took.
func repaired(t *testing.T, d *Dir, set fileSet) (time.Duration, Change) {
	t.Helper()
	start := time.Now()
	select {
	case <-d.Tampered():
	case <-time.After(time.Minute):
		t.Fatal("no damage was noticed")
	}
	return time.Since(start), publish(t, d, set)
}

// hops is how often, at most, one thread waits for another to run between damage
// and its report.
const hops = 10

// awaitWatch begins to watch a directory, and waits until it has been looked at.
func awaitWatch(t *testing.T, d *Dir) {
	t.Helper()
	d.Tampered()
	for {
		d.watch.mu.Lock()
		looked := d.watch.due.IsZero() || time.Until(d.watch.due) > patience
		d.watch.mu.Unlock()
		if looked {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestDamageBeforeTheWatch has files damaged before Tampered is called.
func TestDamageBeforeTheWatch(t *testing.T) {
	for _, mode := range modes {
		dir := filepath.Join(memoryDir(t), "tls")
		o := trio(dir)
		o.Publish = mode
		set := wanted(newAuthority(t, "example.org").answer(t), o)
		d := open(t, o)
		publish(t, d, set)
		must(t, os.Chmod(filepath.Join(dir, "tls.key"), 0o644))
		repaired(t, d, set)
		must(t, holds(t, dir, set))
		must(t, d.Close())
	}
}

// TestTampering does to a published directory what others may do. Each is
// noticed and repaired.
func TestTampering(t *testing.T) {
	const all = "ca.crt shared.example/ca.pem tls.crt tls.key two.example/ca.pem"
	for _, mode := range modes {
		for _, c := range []struct {
			what   string
			names  string // that the repair changes for a reader
			tamper func(dir string) error
		}{
			{"deleted", "tls.crt", func(dir string) error { return os.Remove(dir + "/tls.crt") }},
			{"all deleted", all, func(dir string) error {
				entries, err := os.ReadDir(dir)
				for _, e := range entries {
					os.RemoveAll(dir + "/" + e.Name())
				}
				return err
			}},
			{"overwritten", "tls.crt", func(dir string) error { return os.WriteFile(dir+"/tls.crt", []byte("x"), 0o644) }},
			{"replaced", "tls.key", func(dir string) error {
				if err := os.WriteFile(dir+"/mine", []byte("x"), 0o600); err != nil {
					return err
				}
				return os.Rename(dir+"/mine", dir+"/tls.key")
			}},
			{"chmodded", "", func(dir string) error { return os.Chmod(dir+"/tls.key", 0o666) }},
			{"directory chmodded", "", func(dir string) error { return os.Chmod(dir, 0o777) }},
			{"generation chmodded", "", func(dir string) error {
				if mode := filepath.Join(dir, dataName); mode != "" {
					if gen, err := filepath.EvalSymlinks(mode); err == nil {
						return os.Chmod(gen, 0o777)
					}
				}
				return os.Chmod(dir+"/ca.crt", 0o666) // no generation in this mode
			}},
			{"linked elsewhere", "tls.key", func(dir string) error {
				os.Remove(dir + "/tls.key")
				return os.Symlink("/dev/null", dir+"/tls.key")
			}},
			{"below deleted", "two.example/ca.pem", func(dir string) error { return os.RemoveAll(dir + "/two.example") }},
			{"moved away", all, func(dir string) error { return os.Rename(dir, dir+"-moved") }},
			{"removed", all, func(dir string) error { return os.RemoveAll(dir) }},
		} {
			tampering := func(t *testing.T, dir string, within time.Duration) {
				w := newWorld(t, mode)
				w.output.Dir, w.output.DirMode = dir, 0o711
				set := wanted(w.new, &w.output)
				d := open(t, &w.output)
				publish(t, d, set)
				awaitWatch(t, d)
				d.mu.Lock()
				if d.watch.every > 0 { // the machine has no watch to spare
					within = firstLook
				}
				d.mu.Unlock()
				p := testbed.StartPulse()
				must(t, c.tamper(dir))
				took, change := repaired(t, d, set)
				if late := p.Stop(); took > within+hops*late {
					t.Errorf("noticed after %v, on a machine that was late by up to %v", took, late)
				}
				// What is deleted in several steps may be seen, and told, in two;
				// and nothing in a generation that anyone can write is believed.
				if c.what != "all deleted" && c.what != "removed" && c.what != "generation chmodded" && change.names() != c.names {
					t.Errorf("the repair changed %v", change)
				}
				for range 3 {
					if holds(t, dir, set) == nil {
						break
					}
					repaired(t, d, set)
				}
				must(t, holds(t, dir, set))
				for _, p := range []string{dir, filepath.Join(dir, dataName)} {
					if info, err := os.Stat(p); err == nil && info.Mode().Perm() != 0o711 {
						t.Errorf("%s has mode %v", p, info.Mode())
					}
				}
			}
			t.Run(string(mode)+"/"+c.what, func(t *testing.T) {
				t.Parallel()
				tampering(t, filepath.Join(memoryDir(t), "tls"), time.Second)
			})
			t.Run(string(mode)+"/"+c.what+"/without inotify", func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(memoryDir(t), "tls")
				unwatched(t, dir)
				// Nothing comes from outside here, so that no time need pass.
				synctest.Test(t, func(t *testing.T) { tampering(t, dir, firstLook) })
			})
		}
	}
}

// TestNoLoop has the directory repaired without hearing its own repairs, nor its
// own rotations.
func TestNoLoop(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(memoryDir(t), "tls")
			w := newWorld(t, mode)
			w.output.Dir = dir
			sets := []fileSet{wanted(w.old, &w.output), wanted(w.new, &w.output)}
			d := open(t, &w.output)
			d.Tampered()
			for i := range 20 {
				publish(t, d, sets[i%2])
			}
			must(t, os.Remove(filepath.Join(dir, "tls.crt")))
			repaired(t, d, sets[1])
			// Longer than it takes to hear, to settle, and to be allowed to tell
			// again.
			select {
			case <-d.Tampered():
				t.Error("took its own doing for another program's")
			case <-time.After(settling + patience + 200*time.Millisecond):
			}
		})
	}
}

// TestAtMostOnceASecond damages the directory without pause: the third report
// does not come before two seconds are over.
func TestAtMostOnceASecond(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(memoryDir(t), "tls")
	o := trio(dir)
	set := wanted(newAuthority(t, "example.org").answer(t), o)
	d := open(t, o)
	publish(t, d, set)
	awaitWatch(t, d)
	var stop atomic.Bool
	done := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		for !stop.Load() {
			os.Chmod(filepath.Join(dir, "tls.key"), 0o640)
			os.Remove(filepath.Join(dir, "tls.crt"))
			<-time.After(5 * time.Millisecond)
		}
	}()
	defer func() { stop.Store(true); <-done }()
	for reports := range 3 {
		repaired(t, d, set)
		// The test may hear of one late, but never early.
		after := time.Since(start)
		t.Logf("report %d after %v", reports+1, after)
		if after < time.Duration(reports)*patience {
			t.Errorf("report %d after %v", reports+1, after)
		}
	}
}

// TestLockFileRemoved has another program delete the lock file: the lock is taken again,
// so that there is never a second helper.
func TestLockFileRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(memoryDir(t), "tls")
	o := trio(dir)
	set := wanted(newAuthority(t, "example.org").answer(t), o)
	d := open(t, o)
	publish(t, d, set)
	awaitWatch(t, d)
	must(t, os.Remove(filepath.Join(dir, lockName)))
	_, change := repaired(t, d, set)
	if !unchanged(change) {
		t.Errorf("%+v", change)
	}
	if err := openError(t, o); err == nil {
		t.Error("two helpers have the directory")
	}
}

// TestMovedAwayAgain has the directory moved away three times, with a watch and
// without: it is watched, or looked at, where it is made anew.
func TestMovedAwayAgain(t *testing.T) {
	moving := func(t *testing.T, dir string) {
		o := trio(dir)
		set := wanted(newAuthority(t, "example.org").answer(t), o)
		d := open(t, o)
		publish(t, d, set)
		awaitWatch(t, d)
		for i := range 3 {
			must(t, os.Rename(dir, fmt.Sprint(dir, i)))
			repaired(t, d, set)
			must(t, holds(t, dir, set))
		}
		must(t, d.Close())
	}
	moving(t, filepath.Join(memoryDir(t), "tls"))
	dir := filepath.Join(memoryDir(t), "tls")
	unwatched(t, dir)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		moving(t, dir)
		if took := time.Since(start); took > 5*firstLook {
			t.Errorf("three times noticed after %v", took)
		}
	})
}

// TestWithoutWatch has no watch to spare for the directory: damage is repaired at
// the next publish of something new.
func TestWithoutWatch(t *testing.T) {
	dir := filepath.Join(memoryDir(t), "tls")
	unwatched(t, dir)
	o := trio(dir)
	a := newAuthority(t, "example.org")
	d := open(t, o)
	publish(t, d, wanted(a.answer(t), o))
	must(t, os.RemoveAll(dir))
	set := wanted(a.answer(t), o)
	publish(t, d, set)
	must(t, holds(t, dir, set))
}
