//go:build !linux

package writer

import "errors"

// inMemory reports whether a path is on a file system that fsync means nothing
// to; only Linux tells.
func inMemory(string) bool { return false }

// roomAt looks at the file system of a path; only on Linux.
func roomAt(string) (Room, error) { return Room{}, errors.ErrUnsupported }
