//go:build unix && !linux

package writer

import "golang.org/x/sys/unix"

// walkFlags open a directory on the way.
const walkFlags = unix.O_RDONLY
