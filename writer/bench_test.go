package writer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
)

// memoryDir is a directory in memory where there is one.
func memoryDir(t testing.TB) string {
	t.Helper()
	if info, err := os.Stat("/dev/shm"); err != nil || !info.IsDir() {
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

func benchmarkRotation(b *testing.B, o *Output, federated int) {
	o.X509SVIDs[0].Federated = FederatedSeparate
	o.X509SVIDs[0].FederatedFile.Name = "fed-{trust_domain}.pem"
	a := newAuthority(b, "example.org")
	var bundles []*x509bundle.Bundle
	for i := range federated {
		foreign := *a
		foreign.td = td(fmt.Sprintf("td%04d.example", i))
		bundles = append(bundles, foreign.bundle())
	}
	retirement = time.Millisecond
	b.Cleanup(func() { retirement = time.Second })
	d := open(b, o)
	encoder := NewEncoder(o)
	two := []*snapshotT{a.answer(b, bundles...), a.answer(b, bundles...)}
	two[1].X509.SVIDs[0].Bundle = two[0].X509.SVIDs[0].Bundle
	rotate := func(i int) {
		set, err := encoder.Encode(two[i%2])
		if err != nil {
			b.Fatal(err)
		}
		publish(b, d, set)
	}
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

// awaitRetirement waits until the previous generation has been taken care of,
// as it has when rotations are seconds apart.
func awaitRetirement(d *Dir) {
	for {
		d.keeper.mu.Lock()
		waiting := len(d.keeper.old)
		d.keeper.mu.Unlock()
		d.mu.Lock()
		entries, _ := d.root.FS().(interface {
			ReadDir(string) ([]os.DirEntry, error)
		}).ReadDir(".")
		spare := d.spare
		d.mu.Unlock()
		generations := 0
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), genPrefix) {
				generations++
			}
		}
		if waiting == 0 && (generations <= 1 || generations == 2 && spare != nil) {
			return
		}
		runtime.Gosched()
	}
}
