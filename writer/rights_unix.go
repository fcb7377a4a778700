//go:build unix

package writer

import (
	"io/fs"
	"os"
)

// ownUID and ownGID are the user and the group that this process acts as, which
// never change.
var ownUID, ownGID = os.Geteuid(), os.Getegid()

// modeEqual compares permissions.
func modeEqual(have, want fs.FileMode) bool { return have.Perm() == want.Perm() }
