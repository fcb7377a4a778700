package writer

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// DefaultMode is the way to publish when an output does not say. Symbolic links
// need a privilege on Windows.
func DefaultMode() Mode { return ModeRename }

// canSyncDirs says that a directory can be opened and synced.
const canSyncDirs = false

const openNonblock = 0

// errQuota says that a user has no room left.
const errQuota = windows.ERROR_DISK_QUOTA_EXCEEDED

// linkErrors are those of a file system that cannot make this hard link, or
// will not.
var linkErrors = []error{windows.ERROR_NOT_SAME_DEVICE, windows.ERROR_TOO_MANY_LINKS, windows.ERROR_INVALID_FUNCTION, windows.ERROR_ACCESS_DENIED, syscall.EWINDOWS}
