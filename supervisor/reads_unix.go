//go:build linux || darwin

package supervisor

import (
	"io/fs"
	"os"
	"slices"
)

// CouldRead reports whether the process's user could read a file with that owner,
// group and mode, by its mode alone: it is for files that are not there yet.
// CheckReadable asks the kernel of those that are.
func (spec Spec) CouldRead(mode fs.FileMode, uid, gid int) (bool, error) {
	cred, err := spec.credential()
	if err != nil {
		return false, err
	}
	reader, groups := os.Geteuid(), []int{os.Getegid()}
	if cred != nil {
		reader, groups = int(cred.Uid), []int{int(cred.Gid)}
		for _, g := range cred.Groups {
			groups = append(groups, int(g))
		}
	} else if own, err := os.Getgroups(); err == nil {
		groups = append(groups, own...)
	}
	switch {
	case reader == 0:
		return true, nil
	case reader == uid: // the group's rights do not count for the owner
		return mode&0o400 != 0, nil
	case slices.Contains(groups, gid):
		return mode&0o040 != 0, nil
	}
	return mode&0o004 != 0, nil
}
