package writer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// memoryDir is a directory in memory where there is one.
func memoryDir(t testing.TB) string {
	t.Helper()
	if info, err := os.Stat("/dev/shm"); runtime.GOOS == "windows" || err != nil || !info.IsDir() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "writer")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// BenchmarkPublish is one rotation of an SVID, alone and beside unchanged
// bundles of other trust domains in a file each.
func BenchmarkPublish(b *testing.B) {
	for _, where := range []string{"memory", "disk"} {
		for _, mode := range []Mode{ModeSymlink, ModeRename, ModeInPlace} {
			for _, federated := range []int{0, 1000} {
				b.Run(fmt.Sprintf("%s/%s/federated=%d", where, mode, federated), func(b *testing.B) {
					dir := b.TempDir()
					if where == "memory" {
						dir = memoryDir(b)
					}
					o := trio(filepath.Join(dir, "tls"))
					o.Publish = mode
					benchmarkRotation(b, o, federated)
				})
			}
		}
	}
}

func benchmarkRotation(b *testing.B, o *output, federated int) {
	a := newAuthority(b, "example.org")
	bundles := foreignBundles(a, federated)
	retirement = time.Millisecond
	b.Cleanup(func() { retirement = time.Second })
	d := open(b, o)
	two := [][]File{a.answer(b, bundles...), a.answer(b, bundles...)}
	rotate := func(i int) { publish(b, d, wanted(two[i%2], o)) }
	for i := range 2 { // the first one writes, the second one links
		rotate(i)
		awaitRetirement(d)
	}
	for i := 0; b.Loop(); i++ {
		rotate(i)
		b.StopTimer()
		awaitRetirement(d)
		b.StartTimer()
	}
}

// awaitRetirement waits until the previous generations have gone, as they have when
// rotations are seconds apart.
func awaitRetirement(d *Dir) {
	for {
		d.mu.Lock()
		waiting := len(d.old)
		d.mu.Unlock()
		if waiting == 0 {
			return
		}
		runtime.Gosched()
	}
}

// BenchmarkFloor is the least that a rotation of three files in one rename can
// be: a directory, the files, a link, a rename, and syncs on a disk.
func BenchmarkFloor(b *testing.B) {
	for _, where := range []string{"memory", "disk"} {
		b.Run(where, func(b *testing.B) {
			dir := b.TempDir()
			if where == "memory" {
				dir = memoryDir(b)
			}
			o := trio(dir)
			files := wanted(newAuthority(b, "example.org").answer(b), o).Files
			sync := func(name string) {
				if where == "memory" {
					return
				}
				f, err := os.Open(name)
				must(b, err)
				must(b, f.Sync())
				must(b, f.Close())
			}
			old := ""
			for i := 0; b.Loop(); i++ {
				gen := filepath.Join(dir, fmt.Sprint("gen", i))
				must(b, os.Mkdir(gen, 0o755))
				for _, file := range files {
					f, err := os.OpenFile(filepath.Join(gen, file.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, file.Mode)
					must(b, err)
					_, err = f.Write(file.Data)
					must(b, err)
					if where == "disk" {
						must(b, f.Sync())
					}
					must(b, f.Close())
				}
				sync(gen)
				must(b, os.Symlink(filepath.Base(gen), filepath.Join(dir, "tmp")))
				must(b, os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, "data")))
				sync(dir)
				b.StopTimer()
				if old != "" {
					must(b, os.RemoveAll(old))
				}
				old = gen
				b.StartTimer()
			}
		})
	}
}
