//go:build linux || darwin

package supervisor

import (
	"io/fs"
	"os"
	"testing"
)

// TestCouldRead: the owner's rights count for the owner alone, the group's for its
// members, and the others' for the rest.
func TestCouldRead(t *testing.T) {
	const other, otherGroup = 54321, 54322
	own := Spec{}
	reader := Spec{User: "54321", Group: "54322"} // in no user database: no further groups
	for _, c := range []struct {
		name     string
		spec     Spec
		mode     fs.FileMode
		uid, gid int
		want     bool
	}{
		{"its own", reader, 0o600, other, 0, true},
		{"its own, closed to the owner", reader, 0o077, other, otherGroup, false},
		{"its group's", reader, 0o640, 0, otherGroup, true},
		{"its group's, closed to the group", reader, 0o604, 0, otherGroup, false},
		{"another's", reader, 0o640, 0, 0, false},
		{"another's, open to all", reader, 0o604, 0, 0, true},
		{"the helper's own user", own, 0o600, os.Geteuid(), 0, true},
	} {
		if got, err := c.spec.CouldRead(c.mode, c.uid, c.gid); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	if _, err := (Spec{User: "no-such-user"}).CouldRead(0o644, 0, 0); err == nil {
		t.Error("a user that is not known")
	}
}
