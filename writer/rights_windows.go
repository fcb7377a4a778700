package writer

import "io/fs"

// ownUID and ownGID are no user: Windows has none that this package could set.
const ownUID, ownGID = -1, -1

// modeEqual compares the one permission that Windows has: whether the owner may
// write.
func modeEqual(have, want fs.FileMode) bool { return have&0o200 == want&0o200 }
