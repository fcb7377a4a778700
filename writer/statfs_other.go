//go:build !linux

package writer

// inMemory reports whether a path is on a file system that fsync means nothing
// to; only Linux tells.
func inMemory(string) bool { return false }
