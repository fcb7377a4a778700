//go:build unix

package health

import (
	"errors"
	"syscall"
)

// isTaken reports whether another socket listens there.
func isTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
