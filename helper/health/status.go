package health

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/notify"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// A Status is how the helper is doing at one moment: what each part says of
// itself. Nothing in it changes.
type Status struct {
	Version string
	Started time.Time

	Source  *source.Status
	Outputs []publish.Status
	Process *supervisor.Status // nil: none
	Hooks   []hook.Status
	Told    []notify.ToldStatus
	Proofs  []notify.ProofStatus
	Reload  Reload
	// Unstarted is why the process of the configuration does not take the place of
	// the one before; empty if it has.
	Unstarted string
	// NeedsWrites has both checks answer 503 while a write has failed, as those of
	// spiffe-helper do.
	NeedsWrites bool
	// Recent are the last events, the oldest first.
	Recent []events.Event
}

// A Reload is what became of the configuration file since the start.
type Reload struct {
	// At is when it last took effect or was refused; zero: it has not changed.
	At time.Time
	// Done counts the configurations that took effect, Refused those that did
	// not.
	Done, Refused uint64
	// Problem is why the file as it is now is not in effect; empty: it is.
	Problem string
}

// A WriteStatus is what has become of a file, in the terms of spiffe-helper.
type WriteStatus string

// The statuses of a file.
const (
	Unwritten WriteStatus = "unwritten"
	Written   WriteStatus = "written"
	Failed    WriteStatus = "failed"
)

// file is one that an identity is in.
func file(id encode.Identity) string {
	if len(id.Files) == 0 {
		return ""
	}
	return id.Files[0]
}

// begin is when the life of an SVID began; zero: it does not say.
func begin(id encode.Identity) time.Time {
	if id.NotBefore.IsZero() {
		return id.Issued
	}
	return id.NotBefore
}

func kindName(id encode.Identity) string { return string(id.Selection.Block) }

// writes says of each file of the drop-in dialect what has become of it. JWT
// bundles are among the JWT files, as in spiffe-helper.
func (s *Status) writes() fileWriteStatuses {
	w := fileWriteStatuses{JWT: map[string]WriteStatus{}}
	for i := range s.Outputs {
		o := &s.Outputs[i]
		status := func(onDisk bool) WriteStatus {
			switch {
			case o.Problem != "" || len(o.Absent) > 0:
				return Failed
			case onDisk:
				return Written
			default:
				return Unwritten
			}
		}
		for _, x := range o.Spec.X509SVIDs {
			on := slices.ContainsFunc(o.Identities, func(id encode.Identity) bool { return id.Kind.Has(snapshot.KindX509) }) ||
				slices.ContainsFunc([]encode.FileSpec{x.Cert, x.Key, x.Bundle}, o.Has)
			// Files in several places are as good as the worst.
			if st := status(on); w.X509 == "" || st == Failed || w.X509 == Written {
				w.X509 = st
			}
		}
		for _, j := range o.Spec.JWTSVIDs {
			w.JWT[filepath.Join(o.Spec.Dir, j.File.Name)] = status(o.Has(j.File))
		}
		for _, b := range o.Spec.JWTBundles {
			w.JWT[filepath.Join(o.Spec.Dir, b.File.Name)] = status(o.Has(b.File))
		}
	}
	return w
}
