//go:build unix

package writer

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestTakeover publishes in a directory that another helper has filled: regular
// files of the same names, with any mode. While it does, no name is missing, and
// in symlink mode all files change at one instant.
func TestTakeover(t *testing.T) {
	for _, mode := range modes {
		for _, old := range []fs.FileMode{0o644, 0o600, 0o444, 0o400, 0o000} {
			t.Run(string(mode)+"/"+old.String(), func(t *testing.T) {
				dir := memoryDir(t)
				unwatched(t, dir)
				w := newWorld(t, mode)
				w.output.Dir = dir
				before, after := wanted(w.old, &w.output), wanted(w.new, &w.output)
				for _, f := range before.Files {
					p := filepath.Join(dir, f.Name)
					must(t, os.MkdirAll(filepath.Dir(p), 0o755))
					must(t, os.WriteFile(p, f.Data, 0o600))
					must(t, os.Chmod(p, old))
				}
				must(t, os.WriteFile(filepath.Join(dir, "stranger"), []byte("x"), 0o640))
				// It stays, and in the midst of publishing it must be there too.
				stop, wg := make(chan struct{}), sync.WaitGroup{}
				var missing []string
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						for _, f := range before.Files {
							if _, err := os.Stat(filepath.Join(dir, f.Name)); err != nil && f.Name != "one.example/ca.pem" {
								missing = append(missing, err.Error())
							}
						}
					}
				})
				d := open(t, &w.output)
				if change := publish(t, d, after); unchanged(change) {
					t.Error("nothing changed")
				}
				close(stop)
				wg.Wait()
				if len(missing) > 0 {
					t.Error(missing)
				}
				must(t, whole(dir, after))
				if info, err := os.Stat(filepath.Join(dir, "stranger")); err != nil || info.Mode() != 0o640 {
					t.Errorf("a file of another program: %v, %v", info, err)
				}
			})
		}
	}
}

// TestTakeoverOfTheSame takes over files that hold the very same bytes already:
// nothing has changed for a reader of them.
func TestTakeoverOfTheSame(t *testing.T) {
	for _, mode := range modes {
		dir := memoryDir(t)
		o := trio(dir)
		o.Publish = mode
		set := wanted(newAuthority(t, "example.org").answer(t), o)
		for _, f := range set.Files {
			must(t, os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o664))
		}
		d := open(t, o)
		if change := publish(t, d, set); !unchanged(change) {
			t.Errorf("%s: %+v", mode, change)
		}
		must(t, holds(t, dir, set))
		must(t, d.Close())
	}
}

// TestModeChange goes from each mode to each other one. The set stays whole, and
// nothing that only the old mode needs stays behind.
func TestModeChange(t *testing.T) {
	for _, from := range modes {
		for _, to := range modes {
			t.Run(string(from)+" to "+string(to), func(t *testing.T) {
				dir := memoryDir(t)
				unwatched(t, dir)
				w := newWorld(t, from)
				w.output.Dir = dir
				d := open(t, &w.output)
				publish(t, d, wanted(w.old, &w.output))
				must(t, d.Close())

				w.output.Publish = to
				set := wanted(w.new, &w.output)
				d = open(t, &w.output)
				publish(t, d, set)
				must(t, holds(t, dir, set))
				must(t, d.Close())
				d = open(t, &w.output)
				if change := publish(t, d, set); !unchanged(change) {
					t.Errorf("again: %+v", change)
				}
				must(t, holds(t, dir, set))
				if left := litter(t, dir); len(left) > 0 {
					t.Errorf("left %q", left)
				}
				if _, err := os.Lstat(filepath.Join(dir, dataName)); (err == nil) != (to == ModeSymlink) {
					t.Errorf("%s in mode %s: %v", dataName, to, err)
				}
				if _, err := os.Lstat(filepath.Join(dir, recordName)); (err == nil) != (to != ModeSymlink) {
					t.Errorf("%s in mode %s: %v", recordName, to, err)
				}
			})
		}
	}
}

// TestGoneAfterRestart has a federated bundle go while no helper runs. It leaves
// the disk with the first publish, in every mode.
func TestGoneAfterRestart(t *testing.T) {
	for _, mode := range modes {
		dir := memoryDir(t)
		w := newWorld(t, mode)
		w.output.Dir = dir
		d := open(t, &w.output)
		publish(t, d, wanted(w.old, &w.output))
		must(t, d.Close())
		set := wanted(w.new, &w.output)
		d = open(t, &w.output)
		publish(t, d, set)
		if err := holds(t, dir, set); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		must(t, d.Close())
	}
}

// TestKeep publishes before all material is there: what an earlier run left of
// the rest stays, and is replaced once its material comes.
func TestKeep(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			dir := memoryDir(t)
			w := newWorld(t, mode)
			o := &w.output
			o.Dir = dir
			jwt := File{Name: "jwt/bundle.json", Data: []byte("2 keys"), Mode: 0o644}
			full := wanted(append(w.old, jwt), o)
			d := open(t, o)
			publish(t, d, full)
			must(t, d.Close())

			d = open(t, o)
			set := wanted([]File{jwt}, o)
			for _, f := range w.old {
				set.keep = append(set.keep, f.Name)
			}
			if change := publish(t, d, set); !unchanged(change) {
				t.Errorf("nothing new: %+v", change)
			}
			must(t, holds(t, dir, full))

			jwt.Data = []byte("three keys")
			set.Files = []File{jwt}
			if change := publish(t, d, set); change.names() != jwt.Name {
				t.Errorf("a new JWT bundle: %+v", change)
			}
			full.Files[len(full.Files)-1] = jwt
			must(t, holds(t, dir, full))

			whole := wanted(append(w.new, jwt), o)
			publish(t, d, whole)
			must(t, holds(t, dir, whole))
		})
	}
}

// TestRemove takes everything away, and leaves what is another program's.
func TestRemove(t *testing.T) {
	for _, mode := range modes {
		dir := memoryDir(t)
		w := newWorld(t, mode)
		w.output.Dir = dir
		d := open(t, &w.output)
		must(t, os.WriteFile(filepath.Join(dir, "stranger"), []byte("x"), 0o640))
		set := wanted(w.old, &w.output)
		publish(t, d, set)
		publish(t, d, fileSet{})
		if names := visible(t, dir); len(names) != 1 || names[0] != "stranger" {
			t.Errorf("%s: %q is left", mode, names)
		}
		for _, f := range set.Files {
			if f.private() {
				assertNowhere(t, dir, f.Data)
			}
		}
		publish(t, d, set)
		must(t, whole(dir, set))
		must(t, d.Close())
	}
}
