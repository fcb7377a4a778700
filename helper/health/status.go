package health

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
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
	Proofs  []notify.ProofStatus
	Reload  Reload
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

// ready reports whether everything is as it should be at that moment, and if
// not, why.
//
// An outage of the Workload API is no reason, nor is an answer that was refused:
// the last good set is on disk, and it is good until it expires, which is one.
// To be not ready at once would make an outage of every service out of a fault
// of the agent. An identity that is refused for longer than the grace period is
// a reason: that is meant for this workload.
func (s *Status) ready(now time.Time) (ok bool, why []string) {
	add := func(what, problem string) {
		if problem != "" {
			why = append(why, what+": "+problem)
		}
	}
	waiting := false // for the Workload API
	for i := range s.Outputs {
		o := &s.Outputs[i]
		what := "output " + o.Spec.Dir
		waiting = waiting || !o.Complete
		add(what, o.Problem)
		switch {
		case o.Complete, o.Problem != "" && o.Awaited == "":
		case o.Awaited != "":
			add(what, "waiting for "+o.Awaited)
		default:
			add(what, "not published yet")
		}
		for _, r := range o.Refused {
			add(what, r.Error())
		}
		for _, id := range o.Identities {
			if !id.NotAfter.IsZero() && !now.Before(id.NotAfter) {
				waiting = true
				add(what, fmt.Sprintf("%s of %s in %s expired at %s", kindName(id), id.ID, file(id), id.NotAfter.UTC().Format(time.RFC3339)))
			}
		}
	}
	if s.Process != nil {
		add("process", s.Process.Failure)
	}
	for _, h := range s.Hooks {
		if h.LastError != nil {
			add("hook "+h.Name, h.LastError.Error())
		}
	}
	for _, p := range s.Proofs {
		add("proof of "+p.Target, p.Problem)
	}
	if problem := s.apiProblem(); waiting && problem != "" {
		why = append([]string{problem}, why...) // the cause comes first
	}
	return len(why) == 0, why
}

// apiProblem is what is wrong with the Workload API, and what to check.
func (s *Status) apiProblem() string {
	if s.Source == nil {
		return ""
	}
	return s.Source.Problem()
}

// notes are what is to be known and no reason for not being ready.
func (s *Status) notes(why []string) (notes []string) {
	if problem := s.apiProblem(); problem != "" && !slices.Contains(why, problem) {
		notes = append(notes, problem)
	}
	if s.Reload.Problem != "" {
		notes = append(notes, "the configuration file is refused, the one before is in effect: "+s.Reload.Problem)
	}
	return notes
}

// file is one that an identity is in.
func file(id encode.Identity) string {
	if len(id.Files) == 0 {
		return ""
	}
	return id.Files[0]
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
				slices.ContainsFunc([]encode.FileSpec{x.Cert, x.Key, x.Bundle}, func(f encode.FileSpec) bool { return o.Has(f.Name) })
			// Files in several places are as good as the worst.
			if st := status(on); w.X509 == "" || st == Failed || w.X509 == Written {
				w.X509 = st
			}
		}
		for _, j := range o.Spec.JWTSVIDs {
			w.JWT[filepath.Join(o.Spec.Dir, j.File.Name)] = status(o.Has(j.File.Name))
		}
		for _, b := range o.Spec.JWTBundles {
			w.JWT[filepath.Join(o.Spec.Dir, b.File.Name)] = status(o.Has(b.File.Name))
		}
	}
	return w
}

// lastError is why a profile is not received, in one line.
func lastError(p *source.ProfileStatus) string {
	if p.LastError == nil {
		return ""
	}
	return strings.ReplaceAll(p.LastError.Error(), "\n", " ")
}
