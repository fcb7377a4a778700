//go:build linux || darwin

package supervisor

import (
	"fmt"
	"math"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// credential returns the process's user and groups, nil for the helper's own
// user and groups.
func (spec *Spec) credential() (*syscall.Credential, error) {
	if spec.User == "" && spec.Group == "" {
		return nil, nil
	}
	c := &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}
	if spec.User != "" {
		if err := becomeUser(c, spec.User, spec.Group != ""); err != nil {
			return nil, err
		}
	} else if own, err := os.Getgroups(); err == nil {
		c.Groups = ids(own)
	}
	if spec.Group != "" {
		gid, err := lookUpGroup(spec.Group)
		if err != nil {
			return nil, err
		}
		c.Gid = gid
	}
	if os.Geteuid() != 0 && int(c.Uid) == os.Geteuid() && int(c.Gid) == os.Getegid() {
		return nil, nil // the helper's own; to set groups takes rights
	}
	return c, nil
}

// becomeUser sets the user, its primary group and its supplementary ones.
func becomeUser(c *syscall.Credential, name string, hasGroup bool) error {
	u, err := user.Lookup(name)
	if err != nil {
		uid, is := parseID(name)
		if !is {
			return fmt.Errorf("process user %q is neither known nor a number", name)
		}
		if u, err = user.LookupId(strconv.FormatUint(uint64(uid), 10)); err != nil {
			if !hasGroup {
				return fmt.Errorf("process user %s is not in the user database, so its group is unknown: set group, too", name)
			}
			c.Uid, c.Groups = uid, nil
			return nil
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("process user %q: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("process user %q: %w", name, err)
	}
	c.Uid, c.Gid = uint32(uid), uint32(gid)
	groups, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("groups of process user %q: %w", name, err)
	}
	for _, g := range groups {
		gid, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return fmt.Errorf("groups of process user %q: %w", name, err)
		}
		c.Groups = append(c.Groups, uint32(gid))
	}
	return nil
}

func lookUpGroup(name string) (uint32, error) {
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	gid, is := parseID(name)
	if !is {
		return 0, fmt.Errorf("process group %q is neither known nor a number", name)
	}
	return gid, nil
}

// parseID reads the number of a user or group. The last one is no user's: to the
// kernel it means no change.
func parseID(s string) (id uint32, is bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n != math.MaxUint32
}

func ids(ns []int) []uint32 {
	out := make([]uint32, 0, len(ns))
	for _, n := range ns {
		out = append(out, uint32(n))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func sameVariable(a, b string) bool { return a == b }
