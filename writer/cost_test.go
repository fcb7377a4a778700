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
// stay: two files are written, and each other one is linked in symlink mode and left
// alone in the other modes.
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
			a := newAuthority(t, "example.org")
			bundles := foreignBundles(a, 1000)
			d := open(t, o)
			rotate := func() (calls map[string]int) {
				set := wanted(a.answer(t, bundles...), o)
				calls = map[string]int{}
				h.set(func(call string) error {
					op, _, _ := strings.Cut(call, " ")
					calls[op]++
					return nil
				}, nil)
				change := publish(t, d, set)
				h.set(nil, nil)
				if len(change.Changed) != 2 && calls["write"] < 1000 {
					t.Errorf("changed: %q", change.Changed)
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
				if calls["write"] > most || total-calls["link"] > 60 || calls["link"] > 1001 {
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
			set := wanted(a.answer(t, bundles...), o)
			if change := publish(t, d, set); len(change.Changed) != 2 {
				t.Errorf("after a restart: %q", change.Changed)
			}
		})
	}
}
