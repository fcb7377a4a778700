//go:build linux

package writer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCheck has every way in which an output cannot be published: each is an
// error that says what and where, before anything is touched.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		root  bool // only root can make it so
		make  func(t *testing.T, base string, o *output)
		error string
	}{
		{"a file in place of the directory", false, func(t *testing.T, base string, o *output) {
			must(t, os.WriteFile(o.Dir, nil, 0o644))
		}, "is not a directory"},
		{"a file on the way", false, func(t *testing.T, base string, o *output) {
			must(t, os.WriteFile(filepath.Join(base, "f"), nil, 0o644))
			o.Dir = filepath.Join(base, "f", "tls")
		}, "f is not a directory"},
		{"a dangling link", false, func(t *testing.T, base string, o *output) {
			must(t, os.Symlink("tls", o.Dir))
		}, "symbolic links"},
		{"an unknown owner", false, func(t *testing.T, base string, o *output) {
			o.Owner = "no-such-user"
		}, `user "no-such-user" is not known`},
		{"an unknown group of one file", false, func(t *testing.T, base string, o *output) {
			o.Known[1].Group = "no-such-group"
		}, `group "no-such-group" is not known`},
		{"an unknown mode", false, func(t *testing.T, base string, o *output) {
			o.Publish = "magic"
		}, `"magic" is not one of`},
		{"two files of one name", false, func(t *testing.T, base string, o *output) {
			o.Known[1].Name = "tls.crt"
		}, "cannot both be"},
		{"a file that is a directory of another", false, func(t *testing.T, base string, o *output) {
			o.Known[1].Name = "tls.crt/key"
		}, "tls.crt"},
		{"a single file that is a mount point", true, func(t *testing.T, base string, o *output) {
			must(t, os.Mkdir(o.Dir, 0o755))
			bindMount(t, base, filepath.Join(o.Dir, "tls.key"))
		}, `tls.key is a mount point of its own, and cannot be replaced: mount the whole directory, or set publish = "in-place"`},
		{"in place, closed, with a file missing", true, func(t *testing.T, base string, o *output) {
			must(t, os.Mkdir(o.Dir, 0o755))
			mount(t, "tmpfs", o.Dir, unix.MS_RDONLY, "size=64k")
			o.Publish = ModeInPlace
		}, "nothing can be made in it, and tls.crt cannot be written"},
		{"a read-only file system", true, func(t *testing.T, base string, o *output) {
			must(t, os.Mkdir(o.Dir, 0o755))
			mount(t, "tmpfs", o.Dir, unix.MS_RDONLY, "size=64k")
		}, "read-only file system: choose a directory that svidhelper's user can write in"},
		{"a directory to create on a read-only file system", true, func(t *testing.T, base string, o *output) {
			mount(t, "tmpfs", base, unix.MS_RDONLY, "size=64k")
		}, "read-only file system: create it for svidhelper's user"},
		{"a set with an odd name", false, func(t *testing.T, base string, o *output) {
			o.Set = "a/b"
		}, "letters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root {
				asRoot(t)
			}
			base := t.TempDir()
			o := trio(filepath.Join(base, "tls"))
			c.make(t, base, o)
			before := tree(t, base)
			for _, err := range []error{Check(o.Spec, o.Known), openError(t, o)} {
				if err == nil {
					t.Fatal("no error")
				}
				if !strings.Contains(err.Error(), c.error) || !strings.Contains(err.Error(), o.Dir) {
					t.Errorf("%v\nwant %q", err, c.error)
				}
			}
			if after := tree(t, base); after != before {
				t.Errorf("touched:\n%s\n%s", before, after)
			}
		})
	}
}

// TestCheckAccepts has what must not be refused.
func TestCheckAccepts(t *testing.T) {
	base := t.TempDir()
	must(t, Check(trio(filepath.Join(base, "a", "b", "c")).Spec, nil))
	if _, err := os.Stat(filepath.Join(base, "a")); err == nil {
		t.Error("Check made a directory")
	}
	must(t, os.Mkdir(filepath.Join(base, "sticky"), 0o755))
	must(t, os.Chmod(filepath.Join(base, "sticky"), 0o777|os.ModeSticky))
	must(t, Check(trio(filepath.Join(base, "sticky", "tls")).Spec, nil))
	// A directory in which every user can write, as Kubernetes makes an emptyDir.
	must(t, os.Chmod(base, 0o777))
	must(t, Check(trio(base).Spec, nil))
	must(t, os.Chmod(base, 0o755))
	// A directory on the way that may be entered and not read.
	must(t, os.MkdirAll(filepath.Join(base, "closed", "tls"), 0o755))
	must(t, os.Chmod(filepath.Join(base, "closed"), 0o111))
	t.Cleanup(func() { os.Chmod(filepath.Join(base, "closed"), 0o755) })
	must(t, Check(trio(filepath.Join(base, "closed", "tls")).Spec, nil))
	must(t, openError(t, trio(filepath.Join(base, "closed", "tls"))))

	asRoot(t)
	// A volume in which every user can write, with the output in it.
	volume := filepath.Join(base, "volume")
	must(t, os.Mkdir(volume, 0o755))
	mount(t, "tmpfs", volume, 0, "mode=0777,size=64k")
	must(t, Check(trio(filepath.Join(volume, "tls")).Spec, nil))
}

// TestWarnings has what is accepted and unwise.
func TestWarnings(t *testing.T) {
	base := t.TempDir()
	o := trio(filepath.Join(base, "tls"))
	if w := Warnings(o.Spec, o.Known); len(w) > 0 {
		t.Errorf("%q", w)
	}
	must(t, os.Chmod(base, 0o777))
	must(t, Check(o.Spec, o.Known))
	if w := Warnings(o.Spec, o.Known); len(w) != 1 || !strings.Contains(w[0], "every user can write in "+base) {
		t.Errorf("%q", w)
	}
	must(t, os.Chmod(base, 0o755))
	d := open(t, o)
	publish(t, d, wanted(newAuthority(t, "example.org").answer(t), o))
	if w := Warnings(o.Spec, o.Known); len(w) > 0 { // our own links
		t.Errorf("%q", w)
	}
	must(t, os.Remove(filepath.Join(o.Dir, "tls.key")))
	must(t, os.Symlink("/etc/ssl/key", filepath.Join(o.Dir, "tls.key")))
	before := tree(t, base)
	if w := Warnings(o.Spec, o.Known); len(w) != 1 || !strings.Contains(w[0], "/etc/ssl/key") {
		t.Errorf("%q", w)
	}
	if after := tree(t, base); after != before {
		t.Error("something was touched")
	}
}

// TestNoSymbolicLinks is on a file system without them: it is tried at the start.
func TestNoSymbolicLinks(t *testing.T) {
	dir := t.TempDir()
	o := trio(dir)
	o.Publish = ModeSymlink
	h := hookDir(t, dir)
	h.set(func(call string) error {
		if strings.HasPrefix(call, "symlink") {
			return syscall.EPERM
		}
		return nil
	}, nil)
	if err := openError(t, o); err == nil || !strings.Contains(err.Error(), `set publish = "rename"`) {
		t.Error(err)
	}

	// An output that does not ask for symbolic links does without them.
	o.Publish = ""
	d := open(t, o)
	set := wanted(newAuthority(t, "example.org").answer(t), o)
	publish(t, d, set)
	must(t, holds(t, dir, set))
	must(t, d.Close())
}

// TestNoHardLinks is on a file system without them: unchanged files are written
// again.
func TestNoHardLinks(t *testing.T) {
	for _, mode := range modes {
		dir := filepath.Join(memoryDir(t), "tls")
		h := hookDir(t, dir)
		h.set(func(call string) error {
			if strings.HasPrefix(call, "link") {
				return syscall.EPERM
			}
			return nil
		}, nil)
		w := newWorld(t, mode)
		w.output.Dir = dir
		d := open(t, &w.output)
		for i := range 4 {
			set := wanted([][]File{w.old, w.new}[i%2], &w.output)
			publish(t, d, set)
			must(t, holds(t, dir, set))
		}
		must(t, d.Close())
	}
}

// TestSingleFileMounts publishes in place into files that are mount points, in a
// directory that is closed to the helper.
func TestSingleFileMounts(t *testing.T) {
	asRoot(t)
	for _, readOnly := range []bool{false, true} {
		t.Run(fmt.Sprintf("read-only=%v", readOnly), func(t *testing.T) {
			base := t.TempDir()
			o := trio(filepath.Join(base, "tls"))
			o.Publish = ModeInPlace
			must(t, os.Mkdir(o.Dir, 0o755))
			if readOnly {
				mount(t, "tmpfs", o.Dir, 0, "size=64k")
			}
			for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
				bindMount(t, base, filepath.Join(o.Dir, name))
			}
			if readOnly {
				must(t, os.WriteFile(filepath.Join(o.Dir, lockName), nil, 0o600))
				must(t, unix.Mount("", o.Dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			}
			a := newAuthority(t, "example.org")
			d := open(t, o)
			for range 3 {
				set := wanted(a.answer(t), o)
				publish(t, d, set)
				must(t, whole(o.Dir, set))
				for _, f := range set.Files { // what the other side of the mount sees
					data, err := os.ReadFile(filepath.Join(base, "of-"+f.Name))
					must(t, err)
					if !bytes.Equal(data, f.Data) {
						t.Errorf("%s is another file now", f.Name)
					}
				}
			}
			publish(t, d, fileSet{})
			for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
				if data, err := os.ReadFile(filepath.Join(base, "of-"+name)); err != nil || len(data) > 0 {
					t.Errorf("%s after its removal: %d bytes, %v", name, len(data), err)
				}
			}
			must(t, d.Close())
		})
	}
}

// TestFullDisk fills a real file system.
func TestFullDisk(t *testing.T) {
	asRoot(t)
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			base := t.TempDir()
			mount(t, "tmpfs", base, 0, "size=128k")
			w := newWorld(t, mode)
			w.output.Dir = filepath.Join(base, "tls")
			old, new := wanted(w.old, &w.output), wanted(w.new, &w.output)
			d := open(t, &w.output)
			publish(t, d, old)
			must(t, d.Close())
			d = open(t, &w.output) // nothing is being cleared any more
			filler := filepath.Join(base, "filler")
			fill(t, filler)
			before := tree(t, w.output.Dir)
			if mode == ModeInPlace { // has room in the pages of what it overwrites
				new.Files[0].Data = bytes.Repeat(new.Files[0].Data, 10)
			}
			_, err := d.Publish(new.Files, new.keeps)
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%v", err)
			}
			t.Log(err)
			if after := tree(t, w.output.Dir); after != before {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
			must(t, os.Remove(filler))
			publish(t, d, new)
			must(t, holds(t, w.output.Dir, new))
			must(t, d.Close())
		})
	}
}

// TestStartOnAFullDisk: a helper that starts anew takes over what is on disk, although
// there is no room for its number in the lock file.
func TestStartOnAFullDisk(t *testing.T) {
	asRoot(t)
	base := t.TempDir()
	mount(t, "tmpfs", base, 0, "size=128k")
	o := trio(filepath.Join(base, "tls"))
	set := wanted(newAuthority(t, "example.org").answer(t), o)
	d := open(t, o)
	publish(t, d, set)
	must(t, d.Close())
	must(t, os.Truncate(filepath.Join(o.Dir, lockName), 0))
	fill(t, filepath.Join(base, "filler"))
	d = open(t, o)
	must(t, holds(t, o.Dir, set))
	must(t, d.Close())
}

// TestSmallDisk rotates on a disk with room for a few generations only: each one is
// current at once, since previous ones make room for it.
func TestSmallDisk(t *testing.T) {
	asRoot(t)
	base := t.TempDir()
	mount(t, "tmpfs", base, 0, "size=64k")
	o := trio(filepath.Join(base, "tls"))
	a := newAuthority(t, "example.org")
	d := open(t, o)
	start := time.Now()
	for range 30 {
		set := wanted(a.answer(t), o)
		publish(t, d, set)
		must(t, holds(t, o.Dir, set))
	}
	t.Logf("30 rotations in %v", time.Since(start))
	must(t, d.Close())
}

// fill writes a file until there is no room left.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	for size := 4096; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// mount mounts something for the time of the test.
func mount(t *testing.T, kind, dir string, flags uintptr, options string) {
	t.Helper()
	must(t, unix.Mount(kind, dir, kind, flags, options))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestReadOnlyMountGoes has the same directory mounted over itself, read-only,
// for a while: at the latest when it can be written again, it is.
func TestReadOnlyMountGoes(t *testing.T) {
	asRoot(t)
	dir := t.TempDir()
	o := trio(dir)
	a := newAuthority(t, "example.org")
	d := open(t, o)
	publish(t, d, wanted(a.answer(t), o))
	must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	mounted := true
	unmount := func() {
		if mounted {
			must(t, unix.Unmount(dir, unix.MNT_DETACH))
			mounted = false
		}
	}
	t.Cleanup(unmount)
	must(t, unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	d.mu.Lock()
	d.have = nil // as after damage
	d.mu.Unlock()
	set := wanted(a.answer(t), o)
	if _, err := d.Publish(set.Files, set.keeps); err != nil && !errors.Is(err, unix.EROFS) {
		t.Error(err)
	}
	if err := openError(t, trio(filepath.Join(dir, "below"))); !errors.Is(err, unix.EROFS) {
		t.Error(err)
	}
	unmount()
	publish(t, d, set)
	must(t, holds(t, dir, set))
}

// TestGenerationThatCannotBeRemoved has a previous generation be in use when it
// is to go. The rotation after it is free takes it along.
func TestGenerationThatCannotBeRemoved(t *testing.T) {
	asRoot(t)
	dir := memoryDir(t)
	o := trio(dir)
	a := newAuthority(t, "example.org")
	d := open(t, o)
	files := a.answer(t)
	publish(t, d, wanted(append(files, combined("below/all.pem", files)), o))
	first, err := os.Readlink(filepath.Join(dir, dataName))
	must(t, err)
	inUse := filepath.Join(dir, first, "below")
	must(t, unix.Mount("tmpfs", inUse, "tmpfs", 0, ""))
	for range 2 {
		publish(t, d, wanted(a.answer(t), o))
		d.mu.Lock()
		d.tidy(time.Time{}) // their time has come
		d.mu.Unlock()
		if _, err := os.Stat(inUse); err != nil {
			t.Fatal(err)
		}
	}
	must(t, unix.Unmount(inUse, unix.MNT_DETACH)) // whichever other process looks at it
	publish(t, d, wanted(a.answer(t), o))
	d.mu.Lock()
	d.tidy(time.Time{})
	d.mu.Unlock()
	if _, err := os.Lstat(filepath.Join(dir, first)); err == nil {
		t.Errorf("%s is still there", first)
	}
}

// bindMount makes a file a mount point: of-name beside the directory is what
// other mounts show of it.
func bindMount(t *testing.T, base, file string) {
	t.Helper()
	source := filepath.Join(base, "of-"+filepath.Base(file))
	must(t, os.WriteFile(source, nil, 0o644))
	must(t, os.WriteFile(file, nil, 0o644))
	must(t, unix.Mount(source, file, "", unix.MS_BIND, ""))
	t.Cleanup(func() {
		if err := unix.Unmount(file, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestMountInfo(t *testing.T) {
	real := mountInfo
	defer func() { mountInfo = real }()
	mountInfo = filepath.Join(t.TempDir(), "mountinfo")
	must(t, os.WriteFile(mountInfo, []byte(
		"36 35 98:0 /a /with\\040a\\011few\\134odd\\012ones rw - ext3 /dev/root rw\nshort\n\n37 35 98:0 / /x\\9 rw - ext3 /dev/root rw\n"), 0o644))
	points := mountPoints()
	if len(points) != 2 || !points["/with a\tfew\\odd\nones"] || !points[`/x\9`] {
		t.Errorf("%v", points)
	}
}
