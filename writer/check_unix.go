//go:build unix

package writer

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// findDir finds out where the path of an output leads.
func findDir(dir string) (place, error) {
	p, _, err := chase(dir, false)
	return p, err
}

// canWrite reports why this process cannot make entries in a directory.
func canWrite(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// canWriteFile reports why this process cannot write to a file.
func canWriteFile(name string) error {
	return unix.Faccessat(unix.AT_FDCWD, name, unix.W_OK, unix.AT_EACCESS)
}

// canGive reports why this process cannot give files to an owner and a group.
func canGive(uid, gid int) error {
	if canChown() {
		return nil
	}
	if uid >= 0 && uid != os.Geteuid() {
		return fmt.Errorf("only root can give files to uid %d: run as root or as that user, or leave owner out", uid)
	}
	groups, err := os.Getgroups()
	if err != nil {
		return nil // the first file tells
	}
	if gid >= 0 && gid != os.Getegid() && !slices.Contains(groups, gid) {
		return fmt.Errorf("this user is not in group %d: add it, or leave group out", gid)
	}
	return nil
}
