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
	// Gaps are what the output asks for and the snapshot does not give. An output
	// is complete when there are none, or what they name is on disk.
	Gaps []Gap
	// Skipped says which files of foreign trust domains, and of identities that
	// all = true takes, are not in Files, and why. There can be many.
	Skipped []string
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
	Kind      snapshot.Kind
	Selection Selection
	// Default says that the selection takes the first identity of the answer.
	Default bool
	// Stale says that the Workload API has a newer SVID of this identity, which
	// was refused.
	Stale    bool
	ID       spiffeid.ID
	Hint     string
	Audience []string // of a JWT-SVID
	// Serial is the leaf's serial number as openssl writes it, or the JWT ID.
	Serial string
	// NotBefore and NotAfter are in UTC; a token may lack the former.
	NotBefore, NotAfter time.Time
	// Issued is when a token was issued, if it says so, in UTC.
	Issued time.Time
	// Files are the names of the files that hold the SVID or its bundle.
	Files []string
}

// Keeps returns what reports whether a file that is on disk and not in the set
// stays there. A thousand gaps cost a name no more than one.
func (s *Set) Keeps() func(name string) bool {
	names, varying := map[string]bool{}, []FileSpec(nil)
	for _, g := range s.Gaps {
		for _, f := range g.Files {
			if f.Varies() {
				varying = append(varying, f)
			} else {
				names[f.Name] = true
			}
		}
	}
	return func(name string) bool {
		return names[name] || slices.ContainsFunc(varying, func(f FileSpec) bool { return f.Matches(name) })
	}
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
		removed |= o.KindOf(name)
	}
	return changed, removed
}
