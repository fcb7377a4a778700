package publish

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/writer"
)

// A cause is why a selection is refused, and since when. A selection is refused
// when its profile answers PermissionDenied, and also when a good answer lacks
// its identity: an agent answers PermissionDenied only when it has nothing left
// to give (Workload API 5.2.1).
type cause struct {
	since  time.Time
	why    string
	reason string        // in one word
	source encode.Source // that refuses it
}

// The reasons of causes.
const (
	denied    = "denied"    // by PermissionDenied: the snapshot is older than that
	absent    = "absent"    // a good answer lacks it
	withdrawn = "withdrawn" // a token, whose SPIFFE ID's X.509-SVID is refused
)

// A standing is a selection that is refused.
type standing struct {
	cause
	id   spiffeid.ID // that it had last; zero: none that is known
	seen bool        // it was on disk
	// acted says that the refusal has lasted for the grace period. From then on
	// only a good answer ends it, whatever else happens to the connection.
	acted   bool
	actedAt time.Time
	// token says that it is a token of an identity that is refused, and follows
	// that one.
	token bool
}

// A Refusal is an identity that the Workload API has refused for longer than the
// grace period.
type Refusal struct {
	// What names it as the configuration does. ID is its SPIFFE ID, if it was on
	// disk.
	What  string
	ID    spiffeid.ID
	Since time.Time
	Why   string
	// Reason is why in one word: "denied", "absent" or "withdrawn".
	Reason string
	// Removed says that its files have left the disk.
	Removed bool
}

// Error says it as a sentence.
func (r Refusal) Error() string {
	s := r.What
	if !r.ID.IsZero() {
		s += " (" + r.ID.String() + ")"
	}
	s += " is refused since " + r.Since.UTC().Format(time.RFC3339) + ": " + r.Why
	if r.Removed {
		return s + "; its files have left the disk"
	}
	return s
}

func (o *output) refusal(sel encode.Selection, st *standing) Refusal {
	return Refusal{What: o.spec.Describe(sel), ID: st.id, Since: st.since, Why: st.why, Reason: st.reason, Removed: o.dropped[sel]}
}

// refusals are those that have lasted for the grace period.
func (o *output) refusals() []Refusal {
	var all []Refusal
	for sel, st := range o.standings {
		if st.acted {
			all = append(all, o.refusal(sel, st))
		}
	}
	slices.SortFunc(all, func(a, b Refusal) int { return cmp.Compare(a.What, b.What) })
	return all
}

// judge follows what the Workload API refuses, once a snapshot has been
// published. again says that files have to come or go for it. stop is the
// refusal that ends the helper, if on_revoked says so.
func (r *Publisher) judge(s *snapshot.Snapshot, status *source.Status, now time.Time) (again bool, stop *Refusal) {
	refused := deniedIn(status)
	causes := make([]map[encode.Selection]cause, len(r.outputs))
	for i, o := range r.outputs {
		causes[i] = o.causes(refused, status, now)
		for sel, st := range o.settle(causes[i], now, r.plan.Grace) {
			ref := o.refusal(sel, st)
			o.log.Error("an identity is refused for longer than the grace period",
				"identity", ref.What, "since", ref.Since.UTC(), "error", ref.Why, "on_revoked", string(r.plan.OnRevoked))
			r.events.Note(events.Event{Time: now, Event: events.Failed, Failed: "identity", Output: o.spec.Dir, Error: ref.Error()})
			if r.plan.OnRevoked == source.OnRevokedStop && st.seen {
				stop = &ref
			}
		}
	}
	if r.plan.OnRevoked == source.OnRevokedKeep {
		for _, o := range r.outputs {
			again = again || len(o.dropped) > 0
			clear(o.dropped) // a configuration before this one removed them
		}
		return again, nil
	}
	gone := r.withdrawn(s, causes)
	for i, o := range r.outputs {
		o.withTokens(causes[i], s, gone, now)
		again = o.drop(causes[i]) || again
	}
	return again, stop
}

// deniedIn are the profiles and requests that are answered with
// PermissionDenied.
func deniedIn(status *source.Status) map[encode.Source]cause {
	all := map[encode.Source]cause{}
	for _, p := range status.Profiles {
		if !p.DeniedSince.IsZero() {
			c := cause{since: p.DeniedSince, why: "the Workload API denies it", reason: denied,
				source: encode.Source{Block: encode.Block(p.Profile), Request: p.Request}}
			if p.LastError != nil {
				c.why = p.LastError.Error()
			}
			all[c.source] = c
		}
	}
	return all
}

// causes are the selections that are refused at this moment.
func (o *output) causes(refused map[encode.Source]cause, status *source.Status, now time.Time) map[encode.Selection]cause {
	all := map[encode.Selection]cause{}
	for _, g := range o.set.Gaps {
		switch {
		case g.Absent:
			all[g.Selection] = cause{since: now, why: g.Err.Error(), reason: absent, source: o.spec.Sources(g.Selection)[0]}
		case o.dropped[g.Selection] && g.Err != nil: // only a good SVID brings it back
			all[g.Selection] = o.standings[g.Selection].cause
		}
	}
	if len(refused) > 0 {
		for sel := range o.spec.Selections() {
			for _, src := range o.spec.Sources(sel) {
				if c, is := refused[src]; is {
					all[sel] = c
				}
			}
		}
	}
	for sel, st := range o.standings {
		if _, is := all[sel]; !is && st.acted && !st.token && !answeredSince(status, st.source, st.actedAt) {
			all[sel] = st.cause
		}
	}
	return all
}

// answeredSince reports whether there was a good answer since then.
func answeredSince(status *source.Status, src encode.Source, then time.Time) bool {
	return slices.ContainsFunc(status.Profiles, func(p *source.ProfileStatus) bool {
		return encode.Block(p.Profile) == src.Block && p.Request == src.Request && p.LastSuccess.After(then)
	})
}

// settle brings the standings up to date, and returns those whose grace period
// ends now.
func (o *output) settle(causes map[encode.Selection]cause, now time.Time, grace time.Duration) map[encode.Selection]*standing {
	for sel := range o.standings {
		if _, is := causes[sel]; !is && !o.dropped[sel] {
			o.log.Info("an identity is given again", "identity", o.spec.Describe(sel))
			delete(o.standings, sel)
		}
	}
	ended := map[encode.Selection]*standing{}
	for sel, c := range causes {
		st := o.standings[sel]
		if st == nil {
			st = &standing{cause: c, id: o.known[sel], seen: o.shows(sel)}
			o.standings[sel] = st
			o.countRefusal(Refused{o.spec.Describe(sel), c.reason})
			if st.seen {
				o.log.Warn("an identity is refused; its files stay for now", "identity", o.spec.Describe(sel), "grace", grace, "error", c.why)
			} else {
				o.log.Error("the Workload API does not give an identity that the output asks for", "identity", o.spec.Describe(sel), "error", c.why)
			}
		}
		st.why, st.reason, st.source = c.why, c.reason, c.source
		if !st.acted && now.Sub(st.since) >= grace {
			st.acted, st.actedAt = true, now
			ended[sel] = st
		}
	}
	return ended
}

// shows reports whether a selection has an SVID on disk.
func (o *output) shows(sel encode.Selection) bool {
	return slices.ContainsFunc(o.identities(), func(id encode.Identity) bool { return id.Selection == sel })
}

// withdrawn are the SPIFFE IDs of X.509-SVIDs that leave the disk. An identity
// that the answer still has under another hint is none of them.
func (r *Publisher) withdrawn(s *snapshot.Snapshot, causes []map[encode.Selection]cause) map[spiffeid.ID]cause {
	gone := map[spiffeid.ID]cause{}
	for i, o := range r.outputs {
		for sel := range causes[i] {
			st := o.standings[sel]
			if st.acted && sel.Block == encode.BlockX509SVID && !st.id.IsZero() && (st.reason == denied || !given(s, st.id)) {
				gone[st.id] = cause{since: st.since, why: "its identity is refused: " + st.why, reason: withdrawn}
			}
		}
	}
	return gone
}

// given reports whether the last good answer has an X.509-SVID of that SPIFFE ID.
func given(s *snapshot.Snapshot, id spiffeid.ID) bool {
	return s != nil && s.X509 != nil && slices.ContainsFunc(s.X509.SVIDs, func(svid snapshot.X509SVID) bool { return svid.ID == id })
}

// withTokens adds the tokens of withdrawn identities to the causes.
func (o *output) withTokens(causes map[encode.Selection]cause, s *snapshot.Snapshot, gone map[spiffeid.ID]cause, now time.Time) {
	if len(gone) == 0 || s == nil {
		return
	}
	for sel := range o.spec.Selections() {
		if sel.Block != encode.BlockJWTSVID {
			continue
		}
		token := s.JWTSVIDs[o.spec.JWTSVIDs[sel.Index].Request()]
		if token == nil {
			continue
		}
		if c, is := gone[token.ID]; is {
			causes[sel] = c
			o.standings[sel] = &standing{cause: c, id: token.ID, acted: true, actedAt: now, token: true}
		}
	}
}

// drop has the selections leave the disk whose refusal has lasted, and those
// come back that are given again. It reports whether there are any.
func (o *output) drop(causes map[encode.Selection]cause) (again bool) {
	for sel := range o.dropped {
		if _, is := causes[sel]; !is {
			delete(o.dropped, sel)
			delete(o.standings, sel)
			o.log.Info("an identity is given again", "identity", o.spec.Describe(sel))
			again = true
		}
	}
	for sel := range causes {
		if !o.dropped[sel] && o.standings[sel].acted {
			o.dropped[sel] = true
			again = true
		}
	}
	return again
}

// removed notes what has left the disk because its identity is refused, and
// returns what else went.
func (o *output) removed(c writer.Change) (rest writer.Change) {
	if len(o.dropped) == 0 || len(c.Removed) == 0 {
		return c
	}
	e := events.Event{Time: time.Now(), Event: events.Removed, Output: o.spec.Dir}
	rest.Changed = c.Changed
	kinds := snapshot.KindNone
	for _, name := range c.Removed {
		if sel, is := o.spec.SelectionOf(name); is && (o.dropped[sel] || sel.Block == encode.BlockTemplate) {
			e.Files = append(e.Files, name)
			kinds |= o.spec.KindOf(name)
		} else {
			rest.Removed = append(rest.Removed, name)
		}
	}
	if len(e.Files) > 0 {
		e.Kinds = kinds.Names()
		for _, id := range o.identities() {
			if o.dropped[id.Selection] {
				e.Identities = append(e.Identities, eventIdentities([]encode.Identity{id})...)
			}
		}
		o.log.Warn("removed: the identity is refused", "files", e.Files)
		o.events.Note(e)
	}
	return rest
}

// nextMoment is when the next grace period ends, an SVID on disk is late or expires,
// or an authority or a leaf comes or goes; zero: never.
func (r *Publisher) nextMoment() time.Time {
	var next time.Time
	for _, o := range r.outputs {
		if !o.nextTerm.IsZero() && (next.IsZero() || o.nextTerm.Before(next)) {
			next = o.nextTerm
		}
		if step := o.trust.Next(o.spec.Trust, time.Now()); o.err == nil && !step.IsZero() && (next.IsZero() || step.Before(next)) {
			next = step
		}
		for _, st := range o.standings {
			if end := st.since.Add(r.plan.Grace); !st.acted && (next.IsZero() || end.Before(next)) {
				next = end
			}
		}
	}
	return next
}

// warnOfDefault says that the default identity is one of several, and that it
// has become another one: which is first can change with any registration.
func (o *output) warnOfDefault(s *snapshot.Snapshot, set encode.Set) {
	const advice = "choose one with spiffe_id or hint: which is the first can change with every registration entry"
	for _, id := range set.Identities {
		if !id.Default {
			continue
		}
		for _, before := range o.identities() {
			if before.Selection == id.Selection && before.ID != id.ID {
				o.log.Warn("the default identity has become another one", "was", before.ID.String(), "is", id.ID.String(), "hint", advice)
			}
		}
		if s.X509 != nil && len(s.X509.SVIDs) > 1 && !o.several {
			o.several = true
			o.log.Warn("the Workload API gives several identities, and the output takes the first", slog.Int("identities", len(s.X509.SVIDs)),
				"spiffe_id", id.ID.String(), "hint", advice)
		}
	}
}
