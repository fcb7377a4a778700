//go:build unix

package writer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestPowerCut cuts the power after each change that a publish makes, and loses
// every combination of what was not synced, or many where there are too many. In
// symlink mode a reader then finds one whole set, in the others after the next
// start, with no Workload API.
func TestPowerCut(t *testing.T) {
	many := func(t *testing.T, w *world) { // below directories, and unchanged
		a := newAuthority(t, "shared.example")
		for i := range 33 {
			f := a.bundle(fmt.Sprintf("many/%d/ca.pem", i%5) + fmt.Sprint(i))
			w.old, w.new = append(w.old, f), append(w.new, f)
		}
	}
	all := append(situations[:len(situations):len(situations)], situation{"many", func(t testing.TB, o *output, w *world) {
		situations[0].prepare(t, o, w)
	}})
	for _, mode := range modes {
		for _, s := range all {
			if mode != ModeSymlink && s.name != "rotation" && s.name != "many" {
				continue // which promise nothing more for it
			}
			t.Run(string(mode)+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, mode)
				if s.name == "many" {
					many(t, w)
				}
				powerCut(t, w, s)
			})
		}
	}
}

func powerCut(t *testing.T, w *world, s situation) {
	o := &w.output
	o.Dir = filepath.Join(memoryDir(t), "tls")
	unwatched(t, o.Dir)
	must(t, os.Mkdir(o.Dir, 0o755))
	s.prepare(t, o, w)
	model := newDisk(t, o.Dir)
	models.Store(o.Dir, model)
	t.Cleanup(func() { models.Delete(o.Dir) })
	old, new := wanted(w.old, o), wanted(w.new, o)
	d := open(t, o)
	d.fsync = true // in memory, it would be left out
	must(t, d.syncDirs(below(".", dirsOf(namesOf(old.Files)))))
	random := rand.New(rand.NewPCG(1, 2))
	cuts, after := 0, false
	scratch := memoryDir(t)
	model.check = func(m *disk, call string) {
		changes, files := m.pending()
		n := len(changes) + len(files)
		tries := 1 << min(n, 9)
		for try := range tries {
			kept := func(i int) bool { return try&(1<<i) != 0 }
			if n > 9 {
				mask := make([]bool, n)
				for i := range mask { // most of them, few, or half
					mask[i] = random.IntN(8) < []int{1, 4, 7}[try%3]
				}
				kept = func(i int) bool { return mask[i] }
			}
			cuts++
			state := cut(changes, files, kept)
			var err error
			if o.Publish == ModeSymlink {
				err = wholeAfter(state, m.root, s, old, new, after)
			} else if try%max(1, tries/6) == 0 { // which takes long
				err = completedAfter(t, state, m.root, filepath.Join(scratch, fmt.Sprint(cuts)), o, old, new)
			}
			if err != nil {
				t.Errorf("after %q, with %d of %d changes: %v", call, try, n, err)
				m.check = nil
				return
			}
		}
	}
	_, err := d.Publish(new.Files, nil)
	must(t, err)
	must(t, d.Close())
	after = true
	model.changed("the end")
	t.Logf("%d cuts", cuts)
	if cuts < 100 {
		t.Error("hardly any cut")
	}
}

// wholeAfter reports why a reader finds no whole set after a cut.
func wholeAfter(s cutState, root *inode, from situation, old, new fileSet, after bool) error {
	check := func(set fileSet) error {
		for _, f := range set.Files {
			data, err := s.read(root, f.Name)
			if err != nil || !bytes.Equal(data, f.Data) {
				return fmt.Errorf("%s: %d bytes, %v", f.Name, len(data), err)
			}
		}
		return nil
	}
	is := check(new)
	if is == nil || after {
		return is
	}
	was := check(old)
	if from.name == "first" {
		was = nil
		for _, f := range new.Files {
			if _, err := s.read(root, f.Name); err == nil {
				was = fmt.Errorf("%s is there", f.Name)
			}
		}
	}
	if was != nil {
		return fmt.Errorf("neither the old set (%w) nor the new one (%w)", was, is)
	}
	return nil
}

// completedAfter reports why the next start finds no whole set after a cut.
func completedAfter(t *testing.T, s cutState, root *inode, dir string, o *output, old, new fileSet) error {
	t.Helper()
	s.write(t, root, dir)
	defer os.RemoveAll(dir)
	unwatched(t, dir)
	next := *o
	next.Dir = dir
	if err := open(t, &next).Close(); err != nil {
		return err
	}
	was, is := whole(dir, old), whole(dir, new)
	if was != nil && is != nil {
		return fmt.Errorf("neither the old set (%w) nor the new one (%w)\n%s", was, is, tree(t, dir))
	}
	return nil
}
