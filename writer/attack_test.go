//go:build unix

package writer

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user, neither root nor the user of the tests.
const nobody = 65534

func asRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can do what another user would have done")
	}
}

func TestNamesThatLeadOut(t *testing.T) {
	for _, name := range []string{
		"../x", "/x", "..data", "a/../../b", "", strings.Repeat("x", 4096), "a//b", "a/", "./a", "a/.", "a/..data/b",
		"..", ".", "..lock", "a\x00b", "a\nb", "\xff", strings.Repeat("x", 256), "..gen-1/tls.crt",
	} {
		o := trio(filepath.Join(t.TempDir(), "tls"))
		if err := Check(o.Spec, []File{{Name: name}}); err == nil {
			t.Errorf("Check accepted the name %.40q", name)
		}
		d := open(t, trio(filepath.Join(t.TempDir(), "tls")))
		if _, err := d.Publish([]File{{Name: name, Data: []byte("x"), Mode: 0o600}}, nil); err == nil {
			t.Errorf("Publish accepted the name %.40q", name)
		}
	}
	for _, name := range []string{"a", "a/b", "a/b.c/d", ".a", "a..b", "...", "ä", "{hint}"} {
		if err := CheckName(name); name != "..." && err != nil {
			t.Error(err)
		} else if name == "..." && err == nil {
			t.Error("a name that starts with two dots was accepted")
		}
	}
}

// TestPlantedLinks plants symbolic links wherever a publish writes. None leads it
// out of the directory.
func TestPlantedLinks(t *testing.T) {
	for _, mode := range modes {
		for _, name := range []string{
			tempName + "-" + "0", genName + "-" + "0", genName + "-" + "1", dataName, commitName, recordName, "tls.crt", "tls.key", "below", "below/x.pem",
		} {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				base := t.TempDir()
				outside := filepath.Join(base, "outside")
				must(t, os.Mkdir(outside, 0o755))
				victim := filepath.Join(outside, "victim")
				must(t, os.WriteFile(victim, []byte("precious"), 0o600))
				dir := filepath.Join(base, "tls")
				must(t, os.Mkdir(dir, 0o755))
				target := victim
				if name == "below" || name == dataName || strings.HasPrefix(name, genName+"-") || name == commitName {
					target = outside
				}
				if strings.HasPrefix(name, "below/") {
					must(t, os.Mkdir(filepath.Join(dir, "below"), 0o755))
				}
				o := trio(dir)
				o.Publish = mode
				unwatched(t, dir)
				a := newAuthority(t, "example.org")
				before := tree(t, outside)

				must(t, os.Symlink(target, filepath.Join(dir, name))) // before the start
				d := open(t, o)
				for range 2 {
					os.Remove(filepath.Join(dir, name)) // and between publishes
					os.RemoveAll(filepath.Join(dir, name))
					must(t, os.Symlink(target, filepath.Join(dir, name)))
					d.mu.Lock()
					d.have = nil // as if the watch had told of it
					d.mu.Unlock()
					files := a.answer(t)
					set := wanted(append(files, combined("below/x.pem", files)), o)
					if _, err := d.Publish(set.Files, set.keeps); err != nil {
						t.Fatal(err)
					}
					if err := whole(dir, set); err != nil {
						t.Error(err)
					}
				}
				if after := tree(t, outside); after != before {
					t.Errorf("something was written outside:\n%s\n%s", before, after)
				}
			})
		}
	}
}

// TestLinksOnTheWay has symbolic links in the path of the directory: root's and
// this user's are followed, another user's with a warning.
func TestLinksOnTheWay(t *testing.T) {
	for _, where := range []string{"the directory itself", "the middle of its path"} {
		t.Run(where, func(t *testing.T) {
			base := t.TempDir()
			must(t, os.MkdirAll(filepath.Join(base, "real", "tls"), 0o755))
			link, dir := filepath.Join(base, "link"), filepath.Join(base, "link")
			target := "real/tls"
			if where != "the directory itself" {
				target, dir = "real", filepath.Join(link, "tls")
			}
			must(t, os.Symlink(target, link))
			o := trio(dir)
			set := wanted(newAuthority(t, "example.org").answer(t), o)
			d := open(t, o)
			publish(t, d, set)
			must(t, holds(t, filepath.Join(base, "real", "tls"), set))
			must(t, d.Close())

			if w := Warnings(o.Spec, o.Known); len(w) > 0 {
				t.Errorf("warnings %q", w)
			}
			asRoot(t)
			must(t, os.Lchown(link, nobody, nobody))
			must(t, errors.Join(Check(o.Spec, o.Known), openError(t, o)))
			if w := Warnings(o.Spec, o.Known); len(w) != 1 || !strings.Contains(w[0], "uid 65534") || !strings.Contains(w[0], link) {
				t.Errorf("warnings %q", w)
			}
		})
	}
}

// TestDirectoryExchangedWhileOpen replaces the output's directory by a link to
// another one while a helper publishes in it.
func TestDirectoryExchangedWhileOpen(t *testing.T) {
	asRoot(t)
	base := t.TempDir()
	dir, outside := filepath.Join(base, "tls"), filepath.Join(base, "outside")
	must(t, os.Mkdir(outside, 0o755))
	o := trio(dir)
	a := newAuthority(t, "example.org")
	d := open(t, o)
	publish(t, d, wanted(a.answer(t), o))
	must(t, os.Rename(dir, filepath.Join(base, "moved")))
	must(t, os.Symlink(outside, dir))
	must(t, os.Lchown(dir, nobody, nobody))
	if _, err := d.Publish(wanted(a.answer(t), o).Files, nil); err == nil {
		t.Error("the link was followed")
	}
	if names := visible(t, outside); len(names) > 0 {
		t.Errorf("written outside: %q", names)
	}
	must(t, os.Remove(dir))
	set := wanted(a.answer(t), o)
	publish(t, d, set)
	must(t, holds(t, dir, set))
}

// TestForeignLock has another user leave a lock file: it is replaced, unless it
// is locked, and nothing is written to it or to what it leads to.
func TestForeignLock(t *testing.T) {
	asRoot(t)
	base := t.TempDir()
	victim, dir := filepath.Join(base, "victim"), filepath.Join(base, "tls")
	lock := filepath.Join(dir, lockName)
	must(t, os.WriteFile(victim, []byte("precious"), 0o666))
	must(t, os.Mkdir(dir, 0o755))
	plants := map[string]func() error{
		"a file": func() error {
			return errors.Join(os.WriteFile(lock, []byte("1"), 0o666), os.Chown(lock, nobody, nobody))
		},
		"a link out of it":       func() error { return os.Symlink(victim, lock) },
		"a link inside":          func() error { return os.Symlink("other", lock) },
		"a pipe":                 func() error { return syscall.Mkfifo(lock, 0o600) },
		"a directory":            func() error { return os.Mkdir(lock, 0o755) },
		"another user's link":    func() error { return errors.Join(os.Symlink(victim, lock), os.Lchown(lock, nobody, nobody)) },
		"another name of a file": func() error { return errors.Join(os.Chown(victim, nobody, nobody), os.Link(victim, lock)) },
	}
	for name, plant := range plants {
		must(t, plant())
		d, err := Open(trio(dir).Spec, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s, err := lookAt(lock); err != nil || s.uid != 0 || s.mode != 0o600 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if err := openError(t, trio(dir)); err == nil {
			t.Errorf("%s: opened twice", name)
		}
		must(t, d.Close())
		must(t, os.Remove(lock))
		if data, err := os.ReadFile(victim); string(data) != "precious" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
		if left, err := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
	}

	must(t, plants["a file"]())
	f, err := os.Open(lock)
	must(t, err)
	defer f.Close()
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	if err := openError(t, trio(dir)); err == nil || !strings.Contains(err.Error(), "another helper (pid 1)") {
		t.Error(err)
	}
}

// TestForeignGeneration has another user prepare what looks like our current
// generation, and a publish that is to be finished. Neither is believed.
func TestForeignGeneration(t *testing.T) {
	asRoot(t)
	for _, mode := range modes {
		dir := t.TempDir()
		must(t, os.Chmod(dir, 0o1777))
		o := trio(dir)
		o.Publish = mode
		set := wanted(newAuthority(t, "example.org").answer(t), o)
		for _, own := range []string{genName + "-" + "7", commitName} {
			must(t, os.Mkdir(filepath.Join(dir, own), 0o755))
			for _, f := range set.Files {
				p := filepath.Join(dir, own, f.Name)
				must(t, os.WriteFile(p, f.Data, 0o666))
				must(t, os.Chown(p, nobody, nobody))
			}
			must(t, os.WriteFile(filepath.Join(dir, own, "extra"), []byte("x"), 0o644))
			must(t, os.Chown(filepath.Join(dir, own), nobody, nobody))
		}
		must(t, os.Symlink(genName+"-"+"7", filepath.Join(dir, dataName)))
		d := open(t, o)
		publish(t, d, set)
		must(t, holds(t, dir, set))
		for _, f := range set.Files {
			info, err := os.Stat(filepath.Join(dir, f.Name))
			must(t, err)
			if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
				t.Errorf("%s: %s belongs to %d", mode, f.Name, uid)
			}
		}
		must(t, d.Close())
	}
}
