//go:build unix

package health

import (
	"errors"
	"syscall"
)

// isTaken reports whether somebody else listens there.
func isTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
