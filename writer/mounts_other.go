//go:build !linux

package writer

// mountPoints returns the paths at which something is mounted; only Linux
// tells.
func mountPoints() map[string]bool { return nil }
