//go:build unix

package writer

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func modeOf(t testing.TB, path string) (mode fs.FileMode, uid, gid int) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	st := info.Sys().(*syscall.Stat_t)
	return info.Mode().Perm(), int(st.Uid), int(st.Gid)
}

// TestOwners gives an output and its files owners and groups, by name and by
// number.
func TestOwners(t *testing.T) {
	asRoot(t)
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			dir := filepath.Join(memoryDir(t), "tls")
			o := trio(dir)
			o.Publish = mode
			o.DirMode = 0o750
			o.Owner, o.Group, o.KeyMode = "nobody", "65534", 0o440
			files := newAuthority(t, "example.org").answer(t)
			files[0].Owner, files[0].Group = "0", "daemon"
			files[2].Mode = 0o604
			d := open(t, o)
			publish(t, d, wanted(files, o))
			for name, want := range map[string]rights{
				"tls.key": {0o440, nobody, nobody}, "tls.crt": {0o644, 0, 1}, "ca.crt": {0o604, nobody, nobody}, ".": {0o750, nobody, nobody},
			} {
				if mode, uid, gid := modeOf(t, filepath.Join(dir, name)); (rights{mode, uid, gid}) != want {
					t.Errorf("%s: mode %04o, owner %d, group %d, want %v", name, mode, uid, gid, want)
				}
			}
			if mode == ModeSymlink {
				if mode, uid, gid := modeOf(t, filepath.Join(dir, dataName)); mode != 0o750 || uid != nobody || gid != nobody {
					t.Errorf("the generation: mode %04o, owner %d, group %d", mode, uid, gid)
				}
			}
		})
	}
}

// TestRightsAlone changes nothing but the rights: those are asserted again, in a
// new file, and nobody is told of a change.
func TestRightsAlone(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			dir := memoryDir(t)
			o := trio(dir)
			o.Publish = mode
			s := newAuthority(t, "example.org").answer(t)
			d := open(t, o)
			publish(t, d, wanted(s, o))
			was, err := os.Stat(filepath.Join(dir, "tls.key"))
			must(t, err)

			o.KeyMode = 0o640
			if change := publish(t, d, wanted(s, o)); !unchanged(change) {
				t.Errorf("while open: %+v", change)
			}
			if mode, _, _ := modeOf(t, filepath.Join(dir, "tls.key")); mode != 0o640 {
				t.Errorf("mode %04o", mode)
			}
			is, err := os.Stat(filepath.Join(dir, "tls.key"))
			must(t, err)
			if mode != ModeInPlace && os.SameFile(was, is) {
				t.Error("the mode of the old file was changed")
			}
			must(t, d.Close())

			must(t, os.Chmod(filepath.Join(dir, "tls.crt"), 0o666)) // while nobody looks
			o.KeyMode = 0o600
			d = open(t, o)
			if change := publish(t, d, wanted(s, o)); !unchanged(change) {
				t.Errorf("after a restart: %+v", change)
			}
			must(t, whole(dir, wanted(s, o)))
		})
	}
}

// TestSetGroupID publishes in a directory that hands its group down, as
// Kubernetes makes volumes with an fsGroup, and in one that is made below it.
func TestSetGroupID(t *testing.T) {
	asRoot(t)
	for _, mode := range modes {
		for _, below := range []string{".", "made/tls"} {
			volume := memoryDir(t)
			must(t, os.Chown(volume, -1, nobody))
			must(t, os.Chmod(volume, 0o775|fs.ModeSetgid))
			dir := filepath.Join(volume, below)
			o := trio(dir)
			o.Publish = mode
			o.KeyMode = 0o640
			d := open(t, o)
			publish(t, d, wanted(newAuthority(t, "example.org").answer(t), o))
			if mode, _, gid := modeOf(t, filepath.Join(dir, "tls.key")); mode != 0o640 || gid != nobody {
				t.Errorf("%s: mode %04o, group %d", below, mode, gid)
			}
			want := fs.ModeDir | fs.ModeSetgid | 0o775
			if below != "." {
				want = fs.ModeDir | fs.ModeSetgid | 0o755
			}
			if info, err := os.Stat(dir); err != nil || info.Mode() != want {
				t.Errorf("%s: the directory itself: %v", below, info.Mode())
			}
			if mode == ModeSymlink {
				if mode, _, _ := modeOf(t, filepath.Join(dir, dataName)); mode != 0o755 {
					t.Errorf("%s: the generation: %04o", below, mode)
				}
			}
			must(t, d.Close())
		}
	}
}
