//go:build unix

package writer

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// strangers puts into a directory what is not ours, and returns a check that all
// of it is still there.
func strangers(t *testing.T, dir string) (intact func() error) {
	t.Helper()
	files := map[string]string{
		"user.conf": "a", ".hidden": "b", "..mine": "c", "..dir/file": "d", "..gen-": "e", "..gen-x": "f", "..gen-1x/file": "g",
		"..temp-file": "h", "below/user.pem": "i", "below/..mine": "j", "below/..temp-x": "k", "..generation": "l",
	}
	for name, data := range files {
		name = filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, []byte(data), 0o640))
	}
	links := map[string]string{"to-nowhere": "nowhere", "to-data": dataName + "/nowhere", "..link": "nowhere"}
	for name, target := range links {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	return func() error {
		for name, data := range files {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != data {
				return fmt.Errorf("%s: %q, %v", name, got, err)
			}
		}
		for name, target := range links {
			if got, err := os.Readlink(filepath.Join(dir, name)); err != nil || got != target {
				return fmt.Errorf("%s: %q, %v", name, got, err)
			}
		}
		return nil
	}
}

// TestStrangersSurvive goes from each mode to each other one, with fewer files,
// in a directory in which another program has files, some with names that resemble
// ours.
func TestStrangersSurvive(t *testing.T) {
	t.Parallel()
	for _, from := range modes {
		for _, to := range modes {
			t.Run(string(from)+" to "+string(to), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				unwatched(t, dir)
				intact := strangers(t, dir)
				w := newWorld(t, from)
				w.output.Dir = dir
				w.old = append(w.old, combined("below/all.pem", w.old))
				w.new = append(w.new, combined("below/all.pem", w.new))
				d := open(t, &w.output)
				publish(t, d, wanted(w.old, &w.output))
				publish(t, d, wanted(w.new, &w.output))
				must(t, intact())
				must(t, d.Close())
				w.output.Publish = to
				d = open(t, &w.output)
				set := wanted(without(w.new, "below/all.pem", "ca.crt"), &w.output)
				publish(t, d, set)
				must(t, whole(dir, set))
				must(t, intact())
				publish(t, d, fileSet{})
				must(t, intact())
				for _, f := range set.Files {
					if _, err := os.Lstat(filepath.Join(dir, f.Name)); err == nil {
						t.Errorf("%s is still there", f.Name)
					}
				}
			})
		}
	}
}

// TestVolumeOfAnotherProgram publishes in a directory that another program
// publishes in as Kubernetes does: through "..data".
func TestVolumeOfAnotherProgram(t *testing.T) {
	t.Parallel()
	for _, mode := range append([]Mode{""}, modes...) {
		t.Run("mode "+string(mode), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "..2026_01_02"), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, "..2026_01_02", "app.conf"), []byte("x"), 0o644))
			must(t, os.Symlink("..2026_01_02", filepath.Join(dir, dataName)))
			must(t, os.Symlink(dataName+"/app.conf", filepath.Join(dir, "app.conf")))
			must(t, os.Symlink(dataName+"/soon.conf", filepath.Join(dir, "soon.conf")))
			before := tree(t, dir)
			o := trio(dir)
			o.Publish = mode
			if mode == ModeSymlink {
				if err := openError(t, o); err == nil || !strings.Contains(err.Error(), `publish = "rename"`) {
					t.Error(err)
				}
				must(t, os.Remove(filepath.Join(dir, lockName)))
				if after := tree(t, dir); after != before {
					t.Errorf("was\n%s\nis\n%s", before, after)
				}
				return
			}
			a := newAuthority(t, "example.org")
			for range 2 { // a start, and another one
				d, err := Open(o.Spec, slog.New(slog.DiscardHandler))
				must(t, err)
				set := wanted(a.answer(t), o)
				publish(t, d, set)
				must(t, whole(dir, set))
				must(t, d.Close())
			}
			if data, err := os.ReadFile(filepath.Join(dir, "app.conf")); string(data) != "x" {
				t.Error(err)
			}
			if _, err := os.Lstat(filepath.Join(dir, "soon.conf")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReplacedByItsUser has a user put a file of their own in the place of a
// published one while no helper runs. The configuration that follows does not
// name it any more: it stays.
func TestReplacedByItsUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := trio(dir)
	a := newAuthority(t, "example.org")
	d := open(t, o)
	publish(t, d, wanted(a.answer(t), o))
	must(t, d.Close())
	bundle := filepath.Join(dir, "ca.crt")
	must(t, os.Remove(bundle))
	must(t, os.WriteFile(bundle, []byte("mine"), 0o644))
	key := filepath.Join(dir, "tls.key")

	d = open(t, o)
	publish(t, d, wanted(without(a.answer(t), "ca.crt", "tls.key"), o))
	if data, err := os.ReadFile(bundle); string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := os.Lstat(key); err == nil {
		t.Error("the key is still there")
	}
}

// TestLockFileLinkedElsewhere has the lock file be another name of a file of this
// user's, as a backup or an attacker makes one: the lock is taken, and the file
// keeps its bytes and its mode.
func TestLockFileLinkedElsewhere(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir, precious := filepath.Join(base, "tls"), filepath.Join(base, "precious")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.WriteFile(precious, []byte("precious"), 0o644))
	must(t, os.Link(precious, filepath.Join(dir, lockName)))
	before := tree(t, base)
	d := open(t, trio(dir))
	if after := tree(t, base); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
	if err := openError(t, trio(dir)); err == nil || !strings.Contains(err.Error(), "another helper") {
		t.Error(err)
	}
	must(t, d.Close())
}

// TestOutputInsideAnother has an output lie in what another one publishes and
// removes.
func TestOutputInsideAnother(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	o := trio(filepath.Join(base, "tls"))
	d := open(t, o)
	publish(t, d, wanted(newAuthority(t, "example.org").answer(t), o))
	must(t, os.Symlink("tls/..data", filepath.Join(base, "link")))
	for _, dir := range []string{"tls/..data", "tls/..data/below", "tls/..gen-0", "tls/..gen-7/below", "link", "link/below"} {
		if err := Check(trio(filepath.Join(base, dir)).Spec, nil); err == nil || !strings.Contains(err.Error(), "another output") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := Check(trio(filepath.Join(base, "tls", "below")).Spec, nil); err != nil {
		t.Error(err)
	}
	must(t, os.Symlink("tls", filepath.Join(base, "same")))
	if err := openError(t, trio(filepath.Join(base, "same"))); err == nil || !strings.Contains(err.Error(), "another output of this helper") {
		t.Error(err)
	}
}

// TestEmptyDirectoryInTheWay has a user's empty directory stand where a file is
// to be: it is neither replaced nor removed, in any mode.
func TestEmptyDirectoryInTheWay(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		o := trio(filepath.Join(t.TempDir(), "tls"))
		o.Publish = mode
		inTheWay := filepath.Join(o.Dir, "tls.key")
		must(t, os.MkdirAll(inTheWay, 0o750))
		d := open(t, o)
		_, err := d.Publish(wanted(newAuthority(t, "example.org").answer(t), o).Files, nil)
		if err == nil || strings.Contains(err.Error(), "undoing") || !strings.Contains(err.Error(), "tls.key") {
			t.Errorf("%s: %v", mode, err)
		}
		if info, err := os.Lstat(inTheWay); err != nil || info.Mode().Perm() != 0o750 {
			t.Errorf("%s: %v, %v", mode, info, err)
		}
		must(t, d.Close())
	}
}

// TestReplacedByItsBackup has the directory be replaced by an older copy of it,
// whose current generation has the name of one that is about to be removed.
func TestReplacedByItsBackup(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir, backup := filepath.Join(base, "tls"), filepath.Join(base, "backup")
	o := trio(dir)
	a := newAuthority(t, "example.org")
	d := open(t, o)
	first := wanted(a.answer(t), o)
	publish(t, d, first)
	gen, err := os.Readlink(filepath.Join(dir, dataName))
	must(t, err)
	must(t, os.CopyFS(filepath.Join(backup, gen), os.DirFS(filepath.Join(dir, gen))))
	for _, f := range first.Files {
		must(t, os.Chmod(filepath.Join(backup, gen, f.Name), f.Mode))
	}
	must(t, os.Symlink(gen, filepath.Join(backup, dataName)))
	publish(t, d, wanted(a.answer(t), o))
	must(t, os.Rename(dir, dir+"-away"))
	must(t, os.Rename(backup, dir))
	publish(t, d, first)
	if now, err := os.Readlink(filepath.Join(dir, dataName)); now != gen {
		t.Fatalf("%s is current, and not %s: %v", now, gen, err)
	}
	d.mu.Lock()
	d.tidy(time.Time{}) // their time has come
	d.mu.Unlock()
	must(t, whole(dir, first))
}
