package writer

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
)

// rights are an owner, a group and a mode. An id of -1 means any.
type rights struct {
	mode     fs.FileMode
	uid, gid int
}

// equal reports whether a file on disk has these rights.
func (r rights) equal(s stat) bool {
	return modeEqual(s.mode, r.mode) && (s.uid < 0 || r.uid < 0 || r.uid == s.uid) && (s.gid < 0 || r.gid < 0 || r.gid == s.gid)
}

// kept completes the rights that are configured for a file by the owner and the
// group of the file that it replaces, if a new file would have others. Where others
// can write in the directory, the owner of a file in it says nothing about which
// user is meant.
func (d *Dir) kept(want rights, there stat) rights {
	if !there.regular() || there.id == (fileID{}) || d.lock.plain || d.shared {
		return want
	}
	if want.uid < 0 && there.uid != ownUID && canGive(there.uid, -1) == nil {
		want.uid = there.uid
	}
	if want.gid < 0 && there.gid != d.newGID && canGive(-1, there.gid) == nil {
		want.gid = there.gid
	}
	return want
}

// give gives a new file its rights. The group comes first: the mode that lets it
// read must not be there while it is another one. The owner comes last: without
// a capability of its own, a process cannot set the mode of another user's file.
func (r rights) give(f file) error {
	if r.gid >= 0 {
		if err := f.Chown(-1, r.gid); err != nil {
			return err
		}
	}
	if err := f.Chmod(r.mode); err != nil {
		return err
	}
	if r.uid >= 0 && r.uid != ownUID {
		return f.Chown(r.uid, -1)
	}
	return nil
}

// lookupOwner returns the ids of an owner and a group, by name or number; that of
// an empty name is -1.
func lookupOwner(owner, group string) (uid, gid int, err error) {
	uid, gid = -1, -1
	if owner != "" {
		if uid, err = lookupID("user", owner, func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}); err != nil {
			return 0, 0, err
		}
	}
	if group != "" {
		if gid, err = lookupID("group", group, func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		}); err != nil {
			return 0, 0, err
		}
	}
	return uid, gid, nil
}

// lookupID turns a name or number into an id.
func lookupID(what, name string, lookup func(string) (string, error)) (int, error) {
	id := name
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		var err error
		if id, err = lookup(name); err != nil {
			return 0, fmt.Errorf("%s %q is not known here: use one that is, or its number", what, name)
		}
	}
	n, err := strconv.ParseUint(id, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s %q: %q is not an id", what, name, id)
	}
	return int(n), nil
}
