package writer

import (
	"io/fs"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A File is one encoded file.
type File struct {
	Name string
	Data []byte // never empty; nobody writes to it
	Mode fs.FileMode
	// Owner and Group are names or numbers; empty means the helper's own.
	Owner, Group string
	// Kind is what a change of this file is a change of; none for the manifest.
	Kind snapshot.Kind
	// Private files hold a key or a token.
	Private bool
}

// A Set is all that belongs in one directory at a time.
type Set struct {
	Files []File
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

// A Change is what a publish changed for whoever reads the visible names. The
// zero Change means nothing.
type Change struct {
	Kinds snapshot.Kind
	Files []string // in order; includes those that were removed
}

// Empty reports whether nothing changed.
func (c Change) Empty() bool { return c.Kinds == snapshot.KindNone && len(c.Files) == 0 }
