//go:build unix && !linux

package writer

// sameMount reports whether a path leads to the mount through which the lock file
// was opened; only Linux tells.
func (l *dirLock) sameMount(string) bool { return true }
