//go:build !linux

package writer

// inMemory reports whether a path is on a file system that fsync means nothing
// to; only Linux tells.
func inMemory(string) bool { return false }

// withoutSymlinks returns the name of the file system that a path is on, if it
// has no symbolic links; only Linux tells. Elsewhere the first link does.
func withoutSymlinks(string) string { return "" }
