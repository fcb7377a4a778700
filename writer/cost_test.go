package writer

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRotationWritesWhatChanged rotates one SVID beside a thousand bundles that
// stay: two files are written, and once there is a spare generation, nothing is
// done for the others at all.
func TestRotationWritesWhatChanged(t *testing.T) {
	retirement = time.Millisecond
	defer func() { retirement = time.Second }()
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			dir := filepath.Join(memoryDir(t), "tls")
			unwatched(t, dir)
			h := hookDir(t, dir)
			o := trio(dir)
			o.Publish = mode
			o.X509SVIDs[0].Federated = FederatedSeparate
			o.X509SVIDs[0].FederatedFile.Name = "fed-{trust_domain}.pem"
			a := newAuthority(t, "example.org")
			bundles := foreignBundles(a, 1000)
			own := a.bundle()
			e := NewEncoder(o)
			d := open(t, o)
			rotate := func() (calls map[string]int) {
				s := a.answer(t, bundles...)
				s.X509.SVIDs[0].Bundle = own
				set, err := e.Encode(s)
				must(t, err)
				calls = map[string]int{}
				h.set(func(call string) error {
					op, _, _ := strings.Cut(call, " ")
					calls[op]++
					return nil
				}, nil)
				change := publish(t, d, set)
				h.set(nil, nil)
				if len(change.Files) != 2 && calls["write"] < 1000 {
					t.Errorf("changed: %q", change.Files)
				}
				awaitRetirement(d)
				return calls
			}
			rotate()
			was, err := os.Stat(filepath.Join(dir, "fed-td0500.example.pem"))
			must(t, err)
			for i := range 3 {
				calls := rotate()
				total := 0
				for n := range maps.Values(calls) {
					total += n
				}
				t.Logf("rotation %d: %d system calls, of which %d write, %d link, %d remove", i+1, total, calls["write"], calls["link"], calls["remove"])
				most := 2
				if mode == ModeInPlace {
					// Once aside and once in place, where a file that has become
					// longer grows first; signatures differ by a byte or two.
					most = 6
				}
				if calls["write"] > most || i > 0 && total > 100 {
					t.Errorf("%v", calls)
				}
			}
			is, err := os.Stat(filepath.Join(dir, "fed-td0500.example.pem"))
			must(t, err)
			if !os.SameFile(was, is) {
				t.Error("an unchanged file is another one")
			}
			must(t, d.Close())
			d = open(t, o)
			defer d.Close()
			set, err := e.Encode(a.answer(t, bundles...))
			must(t, err)
			if change := publish(t, d, set); len(change.Files) != 2 {
				t.Errorf("after a restart: %q", change.Files)
			}
		})
	}
}
