package source

import (
	"context"
	"fmt"
	"slices"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

const (
	// maxHint is the longest hint there may be, in bytes (Workload API 5.2.1).
	maxHint = 1024
	// maxSVIDs is how many SVIDs of one answer are looked at.
	maxSVIDs = 1024
)

// An announced SVID is an entry of an answer.
type announced interface {
	GetSpiffeId() string
	GetHint() string
}

// An svidSet is what one answer with SVIDs came to. E is an entry of the answer,
// S what a good one becomes.
type svidSet[E announced, S comparable] struct {
	svids   []S
	raw     []E // raw[i] became svids[i]
	refused []snapshot.Refused
	// defaultRefused: the first entry was, and svids[0] is not of its identity.
	defaultRefused bool
}

// A sieve tells the good SVIDs of an answer from the bad ones.
type sieve[E announced, S comparable] struct {
	// parse checks an entry. It returns the old entry and SVID where the bytes
	// are the same.
	parse func(E) (E, S, error)
	// identity names an SVID that was good.
	identity func(S) (spiffeid.ID, string)
	// stale returns an SVID that is the last good one of its identity.
	stale func(S) S
}

// sift checks each entry of an answer by itself. In the place of one that is
// refused stands the last good SVID of the same identity, from prev. What was
// not looked at, because there are too many, could be any identity. Of several
// entries with the same hint the first counts (Workload API 5.2.1).
func (v sieve[E, S]) sift(ctx context.Context, entries []E, prev *svidSet[E, S]) (*svidSet[E, S], refusals) {
	next := &svidSet[E, S]{}
	var (
		all   refusals
		at    []int // where in next.svids each refused one belongs
		hints = make(map[string]bool)

		firstRefused bool
	)
	refuse := func(r snapshot.Refused) {
		all.add(r.Why)
		next.refused, at = append(next.refused, r), append(at, len(next.svids))
	}
	for i, entry := range entries {
		if ctx.Err() != nil {
			break
		}
		if i == maxSVIDs {
			refuse(snapshot.Refused{HintUnknown: true, Why: reject(ReasonTooMany, "more than %d SVIDs in the answer", maxSVIDs)})
			break
		}
		if hint := entry.GetHint(); hint != "" && len(hint) <= maxHint {
			if hints[hint] {
				continue
			}
			hints[hint] = true
		}
		raw, svid, err := v.check(i, entry)
		if err != nil {
			firstRefused = firstRefused || i == 0
			refuse(refusedEntry(entry, err))
			continue
		}
		next.raw, next.svids = append(next.raw, raw), append(next.svids, svid)
	}
	if len(at) > 0 {
		v.carry(next, at, prev)
		next.defaultRefused = firstRefused && !v.isDefault(next, prev)
	}
	return next, all
}

func (v sieve[E, S]) check(i int, entry E) (raw E, svid S, err error) {
	if n := len(entry.GetHint()); n > maxHint {
		return raw, svid, reject(ReasonHint, "SVID %d of the answer: hint of %d bytes, the most is %d", i, n, maxHint)
	}
	return v.parse(entry)
}

// parseID parses a SPIFFE ID that an answer names.
func parseID(s string) (spiffeid.ID, error) {
	id, err := spiffeid.FromString(s)
	if td := id.TrustDomain().Name(); err == nil && (len(s) > maxID || len(td) > maxTrustDomain) {
		return spiffeid.ID{}, fmt.Errorf("%d bytes long, and the trust domain %d: the most are %d and %d", len(s), len(td), maxID, maxTrustDomain)
	}
	return id, err
}

// How long a SPIFFE ID and the name of a trust domain may be, in bytes (SPIFFE-ID
// 2.3 and 2.1).
const (
	maxID          = 2048
	maxTrustDomain = 255
)

// refusedEntry names an entry that was refused, as far as it can be named.
func refusedEntry(entry announced, why error) snapshot.Refused {
	r := snapshot.Refused{Hint: entry.GetHint(), Why: why}
	r.ID, _ = parseID(entry.GetSpiffeId())
	if len(r.Hint) > maxHint {
		r.Hint, r.HintUnknown = "", true
	}
	return r
}

// carry puts into next, in the place of each refused entry, the last good SVIDs
// that could be of its identity. at says where in next.svids each place is.
func (v sieve[E, S]) carry(next *svidSet[E, S], at []int, prev *svidSet[E, S]) {
	type identity struct {
		id   spiffeid.ID
		hint string
	}
	have := make(map[identity]bool)
	for _, s := range next.svids {
		id, hint := v.identity(s)
		have[identity{id, hint}] = true
	}
	good, raw := next.svids, next.raw
	next.svids, next.raw = nil, nil
	for i, r := 0, 0; i <= len(good); i++ {
		for ; r < len(at) && at[r] == i; r++ {
			refused := next.refused[r]
			for j, old := range prev.svids {
				id, hint := v.identity(old)
				if have[identity{id, hint}] || !refused.Could(id, hint) {
					continue
				}
				have[identity{id, hint}] = true
				next.svids, next.raw = append(next.svids, v.stale(old)), append(next.raw, prev.raw[j])
			}
		}
		if i < len(good) {
			next.svids, next.raw = append(next.svids, good[i]), append(next.raw, raw[i])
		}
	}
}

// isDefault reports whether the first of the SVIDs is the default identity, when
// the first entry of the answer was refused: it is named so, or it was the default
// before and nothing says that it is not.
func (v sieve[E, S]) isDefault(next, prev *svidSet[E, S]) bool {
	if len(next.svids) == 0 {
		return false
	}
	first, refused := next.svids[0], next.refused[0]
	id, hint := v.identity(first)
	if !refused.Could(id, hint) {
		return false
	}
	if refused.ID == id && !refused.HintUnknown {
		return true
	}
	if prev.defaultRefused || len(prev.svids) == 0 {
		return false
	}
	oldID, oldHint := v.identity(prev.svids[0])
	return id == oldID && hint == oldHint
}

// same reports whether the set says what other says.
func (s *svidSet[E, S]) same(other *svidSet[E, S]) bool {
	return s.defaultRefused == other.defaultRefused && slices.Equal(s.svids, other.svids) &&
		slices.EqualFunc(s.refused, other.refused, func(a, b snapshot.Refused) bool {
			return a.ID == b.ID && a.Hint == b.Hint && a.HintUnknown == b.HintUnknown && a.Why.Error() == b.Why.Error()
		})
}
