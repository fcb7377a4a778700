//go:build unix

package writer

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// bare are the files of an answer under names that begin with a prefix.
func bare(prefix string, files []File) []File {
	var all []File
	for _, f := range files {
		f.Name = prefix + f.Name
		all = append(all, f)
	}
	return all
}

// TestTwoSets has two helpers publish in one directory, a hundred times each, while
// both are open: neither loses a file, sees one torn, or leaves one of the other's.
func TestTwoSets(t *testing.T) {
	for _, modes := range [][2]Mode{{ModeSymlink, ModeSymlink}, {ModeRename, ModeSymlink}, {ModeRename, ModeRename}, {ModeInPlace, ModeSymlink}} {
		t.Run(fmt.Sprint(modes), func(t *testing.T) {
			dir := memoryDir(t)
			var wg sync.WaitGroup
			last := make([]fileSet, 2)
			for i, set := range []string{"", "web-2"} {
				o := trio(dir)
				o.Set, o.Publish = set, modes[i]
				a := newAuthority(t, "example.org")
				d := open(t, o)
				wg.Go(func() {
					for range 100 {
						last[i] = wanted(bare(fmt.Sprint("below/", i, "-"), a.answer(t)), o)
						if _, err := d.Publish(last[i].Files, nil); err != nil {
							t.Error(err)
						}
						if err := whole(dir, last[i]); err != nil {
							t.Error(err)
						}
					}
					if err := d.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			must(t, errors.Join(whole(dir, last[0]), whole(dir, last[1])))
			if names := visible(t, dir); len(names) != 6 {
				t.Errorf("files %q", names)
			}
		})
	}
}

// TestSetsInTurns has helpers that fetch once and end take turns in one directory,
// in every mode: each changes and removes its own files only.
func TestSetsInTurns(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			dir := memoryDir(t)
			a := newAuthority(t, "example.org")
			once := func(set string, files []File) fileSet {
				o := trio(dir)
				o.Set, o.Publish = set, mode
				d := open(t, o)
				s := wanted(files, o)
				publish(t, d, s)
				must(t, d.Close())
				return s
			}
			one := once("one", bare("one/", a.answer(t)))
			two := once("two", bare("two/", a.answer(t)))
			must(t, errors.Join(whole(dir, one), whole(dir, two)))
			one = once("one", bare("one/", a.answer(t))[:2])
			must(t, errors.Join(whole(dir, one), whole(dir, two)))
			if names := visible(t, dir); len(names) != 5 {
				t.Errorf("files %q", names)
			}
			once("two", nil)
			must(t, whole(dir, one))
			if names := visible(t, dir); len(names) != 2 {
				t.Errorf("files %q", names)
			}
		})
	}
}

// TestCommonName has a second helper want a file of a running one: it is refused,
// and told which process has it. Once that has ended, it takes the file over, and
// what is left of a set whose files are all taken over goes.
func TestCommonName(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			dir := memoryDir(t)
			a := newAuthority(t, "example.org")
			first, second := trio(dir), trio(dir)
			first.Publish, second.Publish, second.Set = mode, mode, "second"
			old := wanted(a.answer(t), first)
			d1, d2 := open(t, first), open(t, second)
			publish(t, d1, old)
			set := wanted(a.answer(t), second)
			_, err := d2.Publish(set.Files, nil)
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) || !strings.Contains(err.Error(), "tls.crt") {
				t.Errorf("%v", err)
			}
			must(t, holds(t, dir, old))
			must(t, d1.Close())
			change := publish(t, d2, set)
			if !strings.Contains(change.names(), "tls.crt tls.key") {
				t.Errorf("%+v", change)
			}
			must(t, holds(t, dir, set))
			entries, err := os.ReadDir(dir)
			must(t, err)
			for _, e := range entries {
				if _, of, ok := parseOwn(e.Name()); ok && of == "" {
					t.Errorf("%s is left of the first set", e.Name())
				}
			}
			must(t, d2.Close())
		})
	}
}

// TestTakenOverWhileAway has a helper come back whose file another one has taken over
// and holds: it is refused, and its set's removal leaves the other's file alone.
func TestTakenOverWhileAway(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			dir := memoryDir(t)
			a := newAuthority(t, "example.org")
			first, second := trio(dir), trio(dir)
			first.Publish, second.Publish, second.Set = mode, mode, "second"
			d := open(t, first)
			publish(t, d, wanted(a.answer(t), first))
			must(t, d.Close())
			d2 := open(t, second)
			set := wanted(a.answer(t)[:2], second)
			publish(t, d2, set)
			d = open(t, first)
			if _, err := d.Publish(wanted(a.answer(t), first).Files, nil); err == nil || !strings.Contains(err.Error(), "second") {
				t.Errorf("%v", err)
			}
			must(t, whole(dir, set))
			change := publish(t, d, fileSet{})
			if change.names() != "ca.crt" {
				t.Errorf("%+v", change)
			}
			must(t, holds(t, dir, set))
			must(t, errors.Join(d.Close(), d2.Close()))
		})
	}
}

// TestOwnNames tells ours from what others put in a directory.
func TestOwnNames(t *testing.T) {
	for name, want := range map[string]string{
		"..data": "..data", "..data.a-1": "..data a-1", "..gen-7": "..gen", "..gen.a-1-7": "..gen a-1", "..temp.x-0": "..temp x",
		"..lock.x": "..lock x", "..names": "..names", "..commit.c": "..commit c",
		"..2026_01_01_00_00_00.123": "", "..data_tmp": "", "..gen": "", "..gen-": "", "..gen.a": "", "..data.": "", "..data.a/b": "", "..gen-7x": "",
	} {
		base, set, ok := parseOwn(name)
		got := strings.TrimSpace(base + " " + set)
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("%s: %q and not %q", name, got, want)
		}
	}
}

// TestNothingGoesAtStart changes owner, group, mode of publishing or names of a
// directory in which a helper has published: a start removes nothing, and a reader
// has every file until the first publish.
func TestNothingGoesAtStart(t *testing.T) {
	asRoot(t)
	for _, mode := range modes {
		for what, change := range map[string]func(o *output){
			"owner set": func(o *output) { o.Owner, o.Group = "daemon", "daemon" },
			"owner gone": func(o *output) {
				o.Owner, o.Group = "", ""
			},
			"another mode": func(o *output) {
				if o.Publish = ModeRename; mode == ModeRename {
					o.Publish = ModeSymlink
				}
			},
			"directory mode": func(o *output) { o.DirMode = 0o700 },
		} {
			t.Run(string(mode)+"/"+what, func(t *testing.T) {
				dir := memoryDir(t)
				o := trio(dir)
				o.Publish = mode
				if what != "owner set" {
					o.Owner, o.Group = "nobody", "65534"
				}
				a := newAuthority(t, "example.org")
				set := wanted(a.answer(t), o)
				d := open(t, o)
				publish(t, d, set)
				must(t, d.Close())
				change(o)
				for range 2 {
					d = open(t, o)
					must(t, holds(t, dir, set))
					must(t, d.Close())
				}
				d = open(t, o)
				next := wanted(a.answer(t)[:2], o)
				publish(t, d, next)
				must(t, holds(t, dir, next))
				for _, f := range next.Files {
					_, uid, _ := modeOf(t, filepath.Join(dir, f.Name))
					if want := map[string]int{"daemon": 1, "nobody": nobody}[o.Owner]; o.Owner != "" && uid != want {
						t.Errorf("%s belongs to %d", f.Name, uid)
					}
				}
				must(t, d.Close())
				if left := litter(t, dir); len(left) > 0 {
					t.Errorf("left %q", left)
				}
			})
		}
	}
}

// TestOwnersKept replaces another program's files: owner and group stay, over many
// publishes and a restart. Where others can write in the directory, they do not:
// any user could have put the file there.
func TestOwnersKept(t *testing.T) {
	asRoot(t)
	for _, mode := range modes {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/shared=%v", mode, shared), func(t *testing.T) {
				dir := memoryDir(t)
				must(t, os.Chmod(dir, 0o755))
				o := trio(dir)
				o.Publish = mode
				a := newAuthority(t, "example.org")
				for _, f := range a.answer(t) {
					must(t, os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600))
					must(t, os.Chown(filepath.Join(dir, f.Name), 1, 1))
				}
				want := 1
				if shared {
					must(t, os.Chmod(dir, 0o777|os.ModeSticky))
					if want = 0; mode == ModeInPlace { // where a file stays the same file
						want = 1
					}
				}
				for range 2 {
					d := open(t, o)
					for range 3 {
						set := wanted(a.answer(t), o)
						publish(t, d, set)
						must(t, holds(t, dir, set))
						for _, f := range set.Files {
							mode, uid, gid := modeOf(t, filepath.Join(dir, f.Name))
							if data, err := d.Read(f.Name); string(data) != string(f.Data) && !shared {
								t.Errorf("read %s: %v", f.Name, err)
							}
							if mode != f.Mode || uid != want || gid != want {
								t.Errorf("%s: %04o, owner %d, group %d", f.Name, mode, uid, gid)
							}
						}
					}
					must(t, d.Close())
				}
			})
		}
	}
}

// TestRemovedFromEveryGeneration withdraws a key: when Publish is back, no file
// below the directory holds it, nor what an earlier generation held under its name.
func TestRemovedFromEveryGeneration(t *testing.T) {
	for _, mode := range modes {
		dir := memoryDir(t)
		o := trio(dir)
		o.Publish = mode
		a := newAuthority(t, "example.org")
		d := open(t, o)
		var keys []File
		for range 5 {
			set := wanted(a.answer(t), o)
			publish(t, d, set)
			keys = append(keys, set.Files[1])
		}
		change := publish(t, d, wanted([]File{a.bundle("ca.crt")}, o))
		if strings.Join(change.Removed, " ") != "tls.crt tls.key" {
			t.Errorf("%s: %+v", mode, change)
		}
		for _, k := range keys {
			assertNowhere(t, dir, k.Data)
		}
		must(t, d.Close())
	}
}

// generations are those in a directory.
func generations(t *testing.T, dir string) (names []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, genName+"*"))
	must(t, err)
	return names
}

// TestOldGenerations rotates faster than previous generations go: there are never
// more than eight of them, and none after the end.
func TestOldGenerations(t *testing.T) {
	dir := memoryDir(t)
	o := trio(dir)
	a := newAuthority(t, "example.org")
	d := open(t, o)
	most := 0
	for range 50 {
		publish(t, d, wanted(a.answer(t), o))
		most = max(most, len(generations(t, dir)))
	}
	if most != mostOld+1 {
		t.Errorf("%d generations", most)
	}
	must(t, d.Close())
	if left := generations(t, dir); len(left) != 1 {
		t.Errorf("%q after the end", left)
	}
}

// TestOpenAgain opens a directory that cannot be used at first.
func TestOpenAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	must(t, os.WriteFile(dir, nil, 0o644))
	o := trio(dir)
	for range 2 {
		if _, err := Open(o.Spec, slog.New(slog.DiscardHandler)); !errors.Is(err, syscall.ENOTDIR) && (err == nil || !strings.Contains(err.Error(), "not a directory")) {
			t.Fatal(err)
		}
	}
	must(t, os.Remove(dir))
	set := wanted(newAuthority(t, "example.org").answer(t), o)
	publish(t, open(t, o), set)
	must(t, holds(t, dir, set))
}
