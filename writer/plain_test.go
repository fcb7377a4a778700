//go:build unix

package writer

import (
	"testing"
)

// TestFileSystemWithoutOwners publishes where every file belongs to another
// user, whichever user made it, as on a drive that a virtual machine shares with its
// host. What was published is taken for just that: it is not published again and
// again, and nothing of it is left behind.
func TestFileSystemWithoutOwners(t *testing.T) {
	real := ownUID
	ownUID++
	defer func() { ownUID = real }()
	for _, mode := range modes {
		o := trio(memoryDir(t))
		o.Publish = mode
		a := newAuthority(t, "example.org")
		d := open(t, o)
		publish(t, d, wanted(a.answer(t), o))
		set := wanted(a.answer(t), o)
		publish(t, d, set)
		if d.damaged() {
			t.Errorf("%s: taken for damaged", mode)
		}
		must(t, d.Close())
		d = open(t, o)
		if change := publish(t, d, set); !unchanged(change) {
			t.Errorf("%s: after a restart: %+v", mode, change)
		}
		must(t, holds(t, o.Dir, set))
		if left := litter(t, o.Dir); len(left) > 0 {
			t.Errorf("%s: left %q", mode, left)
		}
		must(t, d.Close())
	}
}
