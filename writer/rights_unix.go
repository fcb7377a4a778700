//go:build unix

package writer

import (
	"io/fs"
	"os"
	"syscall"
)

// ownUID is the user that this process acts as, which never changes.
var ownUID = os.Geteuid()

// ownerOf returns the owner and group of a file.
func ownerOf(info fs.FileInfo) (uid, gid int, known bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}

// modeEqual compares permissions.
func modeEqual(have, want fs.FileMode) bool { return have.Perm() == want.Perm() }
