//go:build unix && !linux

package writer

import "golang.org/x/sys/unix"

// chmodOpened is not needed: fchmodat can leave links alone here.
func chmodOpened(int, string, uint32) error { return unix.EOPNOTSUPP }
