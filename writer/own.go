package writer

import (
	"fmt"
	"strconv"
	"strings"
)

// The names in a directory that are ours. Those of a set that has a name carry it:
// "..data.NAME". Generations and temporary names end in a number: "..gen.NAME-5".
const (
	dataName   = "..data"   // the link to the current generation
	lockName   = "..lock"   // the file that is locked
	recordName = "..names"  // the list of published names, where there is no generation
	noteName   = "..note"   // what the caller remembers of the set
	commitName = "..commit" // a publish that has been decided and may not be finished
	genName    = "..gen"    // generations
	tempName   = "..temp"   // links on their way to another name
	socketName = "..ask"    // the caller's socket
)

// SocketName is the name for a socket of the caller's beside a set. The package
// leaves what has that name alone, but with what else an ended set has left.
func SocketName(set string) string { return own(socketName, set) }

// CheckSet reports why a name cannot be that of a set.
func CheckSet(name string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}
	if len(name) > 64 || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("set = %.80q is not 64 letters, digits, underscores and hyphens at most", name)
	}
	return nil
}

// own returns the name that something of ours has in a set.
func own(base, set string) string {
	if set == "" {
		return base
	}
	return base + "." + set
}

// parseOwn takes a name of ours apart. Others that begin with two dots are not
// ours: a Kubernetes volume has some.
func parseOwn(name string) (base, set string, ok bool) {
	for _, base := range []string{dataName, lockName, recordName, noteName, commitName, genName, tempName, socketName} {
		rest, found := strings.CutPrefix(name, base)
		if !found {
			continue
		}
		if base == genName || base == tempName {
			i := strings.LastIndexByte(rest, '-')
			if i < 0 {
				return "", "", false
			}
			if _, err := strconv.ParseUint(rest[i+1:], 10, 63); err != nil {
				return "", "", false
			}
			rest = rest[:i]
		}
		if rest == "" {
			return base, "", true
		}
		set, found = strings.CutPrefix(rest, ".")
		return base, set, found && set != "" && CheckSet(set) == nil
	}
	return "", "", false
}

// isOwn reports whether a name is that of something of ours in this set.
func (d *Dir) isOwn(name string, bases ...string) bool {
	base, set, ok := parseOwn(name)
	if !ok || set != d.spec.Set {
		return false
	}
	for _, b := range bases {
		if b == base {
			return true
		}
	}
	return len(bases) == 0
}

// linkTarget is what the visible name of a file in a set links to.
func linkTarget(name, set string) string {
	return strings.Repeat("../", strings.Count(name, "/")) + own(dataName, set) + "/" + name
}

// linkSet returns the set that a visible name belongs to, if what it links to says
// so.
func linkSet(name, target string) (set string, ok bool) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(target, strings.Repeat("../", strings.Count(name, "/"))), "/")
	base, set, ok := parseOwn(first)
	return set, ok && base == dataName && rest == name
}
