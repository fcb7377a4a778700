package supervisor

import "io/fs"

// CouldRead reports whether the process's user could read a file: on Windows the
// process has the helper's.
func (spec Spec) CouldRead(fs.FileMode, int, int) (bool, error) { return true, nil }
