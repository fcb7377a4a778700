package encode

import (
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// A Set is all that belongs in one directory at a time.
type Set struct {
	Files []writer.File
	Uses  []Use // of Files, index by index
	// Keep are names, placeholders included, whose material has not been
	// received yet: what is on disk under them stays.
	Keep []string
	// Awaited says in words what has not been received yet, for logs and
	// status. An output is complete when it is empty.
	Awaited []string
	// AwaitedKinds are the kinds of what Awaited says.
	AwaitedKinds snapshot.Kind
	// Identities are the SVIDs in Files, for logs, the manifest and health.
	Identities []Identity
}

// A Use is what a file is there for.
type Use struct {
	// Kind is what a change of the file is a change of; none for the manifest.
	Kind snapshot.Kind
	// Private files hold a key or a token.
	Private bool
}

// An Identity is an SVID that was encoded.
type Identity struct {
	Kind     snapshot.Kind
	ID       spiffeid.ID
	Hint     string
	Audience []string // of a JWT-SVID
	// Serial is the leaf's serial number in hex, or the JWT ID.
	Serial string
	// NotBefore and NotAfter are in UTC; a token may lack the former.
	NotBefore, NotAfter time.Time
	// Files are the names of the files that hold the SVID or its bundle.
	Files []string
}

// Keeps reports whether a file that is on disk and not in the set stays there.
func (s *Set) Keeps(name string) bool {
	return slices.ContainsFunc(s.Keep, func(pattern string) bool { return matchName(pattern, name) })
}

// Kinds returns what a publish of the set changed: the kinds of the files with
// new bytes, and those of the files that went. The output tells the latter.
func (s *Set) Kinds(c writer.Change, o *Output) (changed, removed snapshot.Kind) {
	if len(c.Changed) > 0 {
		for i, f := range s.Files {
			if _, found := slices.BinarySearch(c.Changed, f.Name); found {
				changed |= s.Uses[i].Kind
			}
		}
	}
	for _, name := range c.Removed {
		removed |= o.kindOf(name)
	}
	return changed, removed
}
