//go:build unix

package writer

import "syscall"

// DefaultMode is the way to publish when an output does not say.
func DefaultMode() Mode { return ModeSymlink }

// canSyncDirs says that a directory can be opened and synced.
const canSyncDirs = true

// openNonblock keeps an open from waiting for a named pipe's other end. It also
// spares the four system calls with which package os tries out whether a file
// can be polled.
const openNonblock = syscall.O_NONBLOCK

// errQuota says that a user has no room left.
const errQuota = syscall.EDQUOT

// linkErrors are those of a file system that cannot make this hard link, or
// will not.
var linkErrors = []error{syscall.EXDEV, syscall.EPERM, syscall.EMLINK, syscall.ENOTSUP, syscall.EACCES, syscall.ENOSYS}
