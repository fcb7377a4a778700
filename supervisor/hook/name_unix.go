//go:build linux || darwin

package hook

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
)

// A processName names processes by the name that the kernel knows them by.
type processName struct {
	name  string
	owner string // as configured, empty for any
	uid   uint32 // the owner's
}

func newProcessName(spec Spec) (*processName, error) {
	n := &processName{name: spec.ProcessName, owner: spec.Owner}
	if n.owner == "" {
		return n, nil
	}
	id := n.owner
	if u, err := user.Lookup(n.owner); err == nil {
		id = u.Uid
	}
	uid, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("owner %q is neither a known user nor a number", n.owner)
	}
	n.uid = uint32(uid)
	return n, nil
}

// find returns the processes of that name, without those that descend from
// another one of that name: a master tells its workers itself.
func (n *processName) find() ([]process, error) {
	all, err := listProcesses()
	if err != nil {
		return nil, err
	}
	named := make(map[int]bool)
	for _, p := range all {
		if n.is(p) && n.owned(p.pid) {
			named[p.pid] = true
		}
	}
	var found []process
	for _, p := range all {
		if named[p.pid] && !named[p.parent] {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		of := ""
		if n.owner != "" {
			of = " and owned by " + n.owner
		}
		return nil, fmt.Errorf("no process is named %q%s here; does the pod share its process namespace?", n.name, of)
	}
	slices.SortFunc(found, func(a, b process) int { return cmp.Compare(a.pid, b.pid) })
	return found, nil
}

func (n *processName) is(p process) bool {
	return !p.dead && p.pid != os.Getpid() && p.name == truncateName(n.name)
}

// owned reports whether the process is the owner's, if there is one to ask for.
func (n *processName) owned(pid int) bool {
	if n.owner == "" {
		return true
	}
	p, err := lookUpProcess(pid)
	return err == nil && n.mine(p)
}

// mine looks at the real user: that of a setuid program is the user that started
// it.
func (n *processName) mine(p process) bool { return n.owner == "" || p.uids[0] == n.uid }

// vet sees whether the process has kept its name and owner since it was found.
func (n *processName) vet(p process) error {
	if !n.is(p) || !n.mine(p) {
		return errGone
	}
	return nil
}
