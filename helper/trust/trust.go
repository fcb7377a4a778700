// Package trust changes in two steps what an output trusts and whom it is trusted
// by. It stands between a snapshot and the encoder: Show takes what the Workload
// API has said and returns what an output shows of it now.
//
// First the new authority, beside the old ones and the old leaf; then, once that
// has arrived and the peers have had their time, the leaf that the new authority
// has issued; last, the authority that has left goes. A service whose peers take
// up their bundles some seconds later, or that takes up its own bundle and its
// leaf at different moments, refuses nobody meanwhile, and nobody refuses it.
//
// It promises that no leaf waits past a third of what is left of the one that it
// replaces, and that none waits for one that has expired or is revoked. It promises
// that an authority that has left stays for Linger at the most, and never longer
// than it is valid. A trust domain that the answer lacks altogether has no
// authority that lingers: its federation has ended.
//
// All of it is pure: a State is a value, and the clock is an argument.
package trust

import (
	"crypto/x509"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A Policy says how an output's trust changes. The zero Policy is: at once.
type Policy struct {
	// First has a leaf wait for the authority that vouches for it.
	First bool `json:",omitempty"`
	// Lead is how long at least the authority is there before the leaf: the peers
	// have their own helpers, which hear of it some seconds earlier or later.
	Lead time.Duration `json:",omitempty"`
	// Linger is how long an authority stays that an answer does not have any more.
	Linger time.Duration `json:",omitempty"`
}

// News are what is known of the authorities that were shown last.
type News uint8

const (
	// Awaited: they have not arrived everywhere.
	Awaited News = iota
	// Arrived: all who are told of them have taken them up.
	Arrived
	// Urgent: no leaf may wait, since an identity was refused.
	Urgent
)

// A State is what an output shows, and how far that has come. It never changes; nil
// is an output that shows nothing.
type State struct {
	answer, shown *snapshot.Snapshot
	bundles       map[place]followed
	leaves        map[who]leaf
	restored      bool      // leaves are what was on disk, and no answer has been shown of them
	since         time.Time // when authorities were added that are not known to have arrived; zero: there are none
	next          time.Time // when Show says something else by itself; zero: never
}

// who is an identity, as an answer names it.
type who struct {
	id   spiffeid.ID
	hint string
}

// A Waiting is a leaf that waits for its authority.
type Waiting struct {
	SVID  snapshot.X509SVID // that waits
	Shown snapshot.X509SVID // in its place
	Until time.Time         // it waits at the longest
}

// Waiting are the leaves that wait, in the order of the answer.
func (st *State) Waiting() []Waiting {
	if st == nil || st.answer == nil || st.answer.X509 == nil {
		return nil
	}
	var all []Waiting
	for _, svid := range st.answer.X509.SVIDs {
		if l := st.leaves[who{svid.ID, svid.Hint}]; !l.until.IsZero() {
			all = append(all, Waiting{SVID: svid, Shown: l.svid, Until: l.until})
		}
	}
	return all
}

// Since is when authorities were added that are not known to have arrived; zero:
// there are none.
func (st *State) Since() time.Time {
	if st == nil {
		return time.Time{}
	}
	return st.since
}

// Next is when Show says something else although nothing has happened; zero: never.
func (st *State) Next(p Policy, now time.Time) time.Time {
	if st == nil {
		return time.Time{}
	}
	next := st.next
	if lead := st.since.Add(p.Lead); !st.since.IsZero() && lead.After(now) {
		next = earlier(next, lead)
	}
	return next
}

// earlier returns the earlier of two moments; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Show returns what an output shows of a snapshot, and the state that it has once it
// does. What does not change is the same pointer as in the snapshot, or as it was.
func (st *State) Show(p Policy, s *snapshot.Snapshot, now time.Time, n News) (*snapshot.Snapshot, *State) {
	if p == (Policy{}) || s == nil {
		return s, st
	}
	if st == nil {
		st = &State{}
	}
	settled := st.since.IsZero() || n == Urgent || n == Arrived && !now.Before(st.since.Add(p.Lead))
	unchanged := s == st.answer && (st.next.IsZero() || now.Before(st.next))
	if unchanged && (st.since.IsZero() || !settled) {
		return st.shown, st
	}
	b := &step{
		policy: p, now: now, urgent: n == Urgent, settled: settled, old: st,
		next: &State{answer: s, bundles: map[place]followed{}, leaves: map[who]leaf{}},
	}
	if !settled {
		b.next.since = st.since
	}
	b.next.shown = b.snapshot(s)
	return b.next.shown, b.next
}

// A step is one call of Show.
type step struct {
	policy  Policy
	now     time.Time
	urgent  bool
	settled bool // what was shown before has arrived
	old     *State
	next    *State
}

// at has the next Show fall on a moment.
func (b *step) at(moment time.Time) { b.next.next = earlier(b.next.next, moment) }

func (b *step) snapshot(s *snapshot.Snapshot) *snapshot.Snapshot {
	out := *s
	out.X509 = b.x509(s.X509)
	if part := s.X509Bundles; part != nil {
		if bundles, changed := followAll(b, "x509", part.Bundles, x509Kind); changed {
			out.X509Bundles = &snapshot.X509Bundles{Bundles: bundles, CRLs: part.CRLs}
		}
	}
	if part := s.JWTBundles; part != nil {
		if bundles, changed := followAll(b, "jwt", part.Bundles, jwtKind); changed {
			out.JWTBundles = &snapshot.JWTBundles{Bundles: bundles}
		}
	}
	if part := s.WITBundles; part != nil {
		if bundles, changed := followAll(b, "wit", part.Bundles, witKind); changed {
			out.WITBundles = &snapshot.WITBundles{Bundles: bundles}
		}
	}
	if out.X509 == s.X509 && out.X509Bundles == s.X509Bundles && out.JWTBundles == s.JWTBundles && out.WITBundles == s.WITBundles {
		return s
	}
	return &out
}

func (b *step) x509(answer *snapshot.X509) *snapshot.X509 {
	if answer == nil {
		b.next.leaves, b.next.restored = b.old.leaves, b.old.restored
		return nil
	}
	out := *answer
	federated, changed := followAll(b, "federated", answer.Federated, x509Kind)
	out.Federated = federated
	out.SVIDs = make([]snapshot.X509SVID, len(answer.SVIDs))
	for i, svid := range answer.SVIDs {
		out.SVIDs[i] = b.svid(svid, answer.CRLs)
		changed = changed || out.SVIDs[i] != svid
	}
	if !changed {
		return answer
	}
	return &out
}

// verifies reports whether authorities vouch for an SVID now.
func verifies(svid snapshot.X509SVID, authorities []*x509.Certificate, now time.Time) bool {
	return verify(svid, x509bundle.FromX509Authorities(svid.ID.TrustDomain(), authorities), now) == nil
}
