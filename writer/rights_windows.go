package writer

import "io/fs"

// ownUID is no user: Windows has none that this package could set.
const ownUID = -1

// ownerOf knows no ids: Windows has none that this package could set.
func ownerOf(fs.FileInfo) (uid, gid int, known bool) { return 0, 0, false }

// modeEqual compares the one permission that Windows has: whether the owner may
// write.
func modeEqual(have, want fs.FileMode) bool { return have&0o200 == want&0o200 }
