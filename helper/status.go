package helper

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
	hooks "github.com/svidhelper/svidhelper/supervisor/hook"
)

// status gathers what the parts say of themselves into one value. It may be
// called from any goroutine, and blocks nobody.
func (d *daemon) status() health.Status {
	p := d.plan.Load()
	s := health.Status{Version: d.version, Started: d.started}
	from := p.source.Status()
	s.Connection = health.Connection{
		Address:   from.Connection.Address,
		Connected: from.Connection.Connected,
		Attempts:  from.Connection.Attempts,
	}
	for _, profile := range from.Profiles {
		s.Profiles = append(s.Profiles, profileHealth(profile, cmp.Or(p.grace, defaultGrace)))
	}
	outputs := *d.rotator.status.Load()
	for _, o := range outputs {
		s.Outputs = append(s.Outputs, o.health())
	}
	s.Writes = writes(outputs)
	if p.process != nil {
		s.Process = processHealth(p.process.Status())
		s.Proofs = appendProof(s.Proofs, p.process.target)
	}
	for _, h := range p.hooks {
		s.Hooks = append(s.Hooks, hookHealth(h.Status()))
		s.Proofs = appendProof(s.Proofs, h.target)
	}
	return s
}

// profileHealth says how a stream is doing. An answer that was refused is no
// problem, as an outage is none: the last good set is on disk, and it is good
// until it expires, which turns ready false by itself. To be not ready at once
// would make an outage of every service out of a fault in the agent. What there
// is to see before is the state, the counter by reason and the last error. A
// lasting refusal of the identity is one, since that is meant for us; so is an
// SVID that is good and not allowed: that is up to the output, and said there.
func profileHealth(p *source.ProfileStatus, grace time.Duration) health.Profile {
	h := health.Profile{
		Name:        p.Name(),
		State:       string(p.State),
		LastSuccess: p.LastSuccess,
		Failures:    map[string]uint64{},
	}
	if p.LastError != nil {
		h.LastError = p.LastError.Error()
	}
	rejected := uint64(0)
	for reason, n := range p.Rejected {
		h.Failures[string(reason)] = n
		rejected += n
	}
	if p.Failures > 0 {
		h.Failures["error"] = p.Failures
	}
	if !p.DeniedSince.IsZero() && time.Since(p.DeniedSince) >= grace {
		h.Problem = "the identity is refused since " + p.DeniedSince.UTC().Format(time.RFC3339)
	}
	return h
}

func (o outputStatus) health() health.Output {
	h := health.Output{
		Dir:         o.spec.Dir,
		Complete:    o.complete,
		Awaited:     strings.Join(o.awaited, ", "),
		LastSuccess: o.published,
		Rotations:   o.rotations,
		Failures:    o.failures,
	}
	if o.err != nil {
		h.Problem = o.err.Error()
	}
	for _, id := range o.identities {
		file := ""
		if len(id.Files) > 0 {
			file = id.Files[0]
		}
		h.Identities = append(h.Identities, health.Identity{
			Kind:     events.KindName(id.Kind),
			SPIFFEID: id.ID.String(),
			Hint:     id.Hint,
			File:     file,
			Serial:   id.Serial,
			NotAfter: id.NotAfter,
		})
	}
	return h
}

func processHealth(s supervisor.Status) *health.Process {
	h := &health.Process{
		State:     string(s.State),
		PID:       s.PID,
		Started:   s.Started,
		Restarts:  s.Restarts,
		Rotated:   s.Rotated,
		Delivered: s.Delivered,
		Problem:   s.Failure,
	}
	return h
}

func hookHealth(s hooks.Status) health.Hook {
	h := health.Hook{
		Name:          s.Name,
		Asked:         s.Asked,
		Delivered:     s.Delivered,
		Runs:          s.Runs,
		Failures:      s.Failures,
		LastDelivered: s.LastDelivered,
	}
	if s.LastError != nil {
		h.Problem = s.LastError.Error()
	}
	return h
}

func appendProof(all []health.Proof, t *target) []health.Proof {
	if t.witness == nil {
		return all
	}
	h := t.witness.health()
	h.Target = t.name
	return append(all, h)
}

// writes says of each file of the drop-in dialect what has become of it. JWT
// bundles are among the JWT files, as in spiffe-helper.
func writes(outputs []outputStatus) health.Writes {
	w := health.Writes{JWT: map[string]health.WriteStatus{}}
	for _, o := range outputs {
		for _, x := range o.spec.X509SVIDs {
			status := o.writeStatus(slices.ContainsFunc(o.identities, func(id encode.Identity) bool { return id.Kind.Has(snapshot.KindX509) }) ||
				slices.ContainsFunc([]encode.FileSpec{x.Cert, x.Key, x.Bundle}, func(f encode.FileSpec) bool { return slices.Contains(o.files, f.Name) }))
			if w.X509 == "" || status == health.Failed || w.X509 == health.Written { // files in several places are as good as the worst
				w.X509 = status
			}
		}
		for _, j := range o.spec.JWTSVIDs {
			w.JWT[filepath.Join(o.spec.Dir, j.File.Name)] = o.writeStatus(slices.Contains(o.files, j.File.Name))
		}
		for _, b := range o.spec.JWTBundles {
			w.JWT[filepath.Join(o.spec.Dir, b.File.Name)] = o.writeStatus(slices.Contains(o.files, b.File.Name))
		}
	}
	return w
}

// writeStatus is the status of a file: what was last tried failed, or it is on
// disk, or it has not come yet.
func (o outputStatus) writeStatus(onDisk bool) health.WriteStatus {
	switch {
	case o.err != nil:
		return health.Failed
	case onDisk:
		return health.Written
	default:
		return health.Unwritten
	}
}
