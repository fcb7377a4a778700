package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// A place is where a bundle stands in a snapshot. The same trust domain's bundle can
// stand in several, and the streams do not change in one moment.
type place struct {
	part string
	td   spiffeid.TrustDomain
}

// A followed is a bundle and what has left it.
type followed struct {
	answered any         // the bundle as the last answer had it; nil: none has
	shown    any         // it, with what is leaving
	leaving  []authority // that the answer does not have any more; ends is when each goes
	// until, from an earlier run, is when what is in answered goes, should it leave.
	until map[string]time.Time
}

// An authority is a certificate or a key of a bundle.
type authority struct {
	name  string // that tells it from others
	value any
	ends  time.Time // of its validity; zero: it does not say
}

// A bundle is what the bundles of all profiles have in common.
type bundle interface {
	comparable
	TrustDomain() spiffeid.TrustDomain
}

// A kind is what differs between the profiles.
type kind[B any] struct {
	list func(B) map[string]authority
	with func(B, []authority) B // a bundle that has these, too
}

// followAll returns what is shown of the bundles of a part, and whether that is
// anything else.
func followAll[B bundle](b *step, part string, all []B, k kind[B]) (shown []B, changed bool) {
	if b.policy.Linger == 0 {
		return all, false
	}
	shown = all
	for i, x := range all {
		at := place{part, x.TrustDomain()}
		f := follow(b, b.old.bundles[at], x, k)
		b.next.bundles[at] = f
		if y := f.shown.(B); y != x {
			if !changed {
				shown, changed = slices.Clone(all), true
			}
			shown[i] = y
		}
	}
	return shown, changed
}

// follow returns what is shown of a bundle, of which was is the last that was
// answered.
func follow[B bundle](b *step, was followed, now B, k kind[B]) followed {
	if was.answered == nil || b.policy.Linger == 0 {
		return followed{answered: now, shown: now}
	}
	due := slices.ContainsFunc(was.leaving, func(a authority) bool { return !b.now.Before(a.ends) })
	if was.answered == any(now) && !due {
		for _, a := range was.leaving {
			b.at(a.ends)
		}
		return was
	}
	f := followed{answered: now, shown: now}
	here := k.list(now)
	stay := func(a authority, ends time.Time) {
		if _, back := here[a.name]; !back && b.now.Before(ends) {
			a.ends = ends
			f.leaving = append(f.leaving, a)
			b.at(ends)
		}
	}
	for _, a := range was.leaving {
		stay(a, a.ends)
	}
	if was.answered != any(now) {
		for name, a := range k.list(was.answered.(B)) {
			ends, known := was.until[name]
			if !known {
				ends = b.now.Add(b.policy.Linger)
			}
			stay(a, earlier(ends, a.ends))
		}
	}
	if len(f.leaving) > 0 {
		slices.SortFunc(f.leaving, func(a, b authority) int { return strings.Compare(a.name, b.name) })
		f.shown = k.with(now, f.leaving)
	}
	return f
}

// nameOf tells an X.509 authority from others.
func nameOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

var x509Kind = kind[*x509bundle.Bundle]{
	list: func(b *x509bundle.Bundle) map[string]authority {
		all := map[string]authority{}
		for _, c := range b.X509Authorities() {
			name := nameOf(c)
			all[name] = authority{name, c, c.NotAfter}
		}
		return all
	},
	with: func(b *x509bundle.Bundle, more []authority) *x509bundle.Bundle {
		b = b.Clone()
		for _, a := range more {
			b.AddX509Authority(a.value.(*x509.Certificate))
		}
		return b
	},
}

var jwtKind = kind[*jwtbundle.Bundle]{
	list: func(b *jwtbundle.Bundle) map[string]authority { return keys(b.JWTAuthorities()) },
	with: func(b *jwtbundle.Bundle, more []authority) *jwtbundle.Bundle {
		b = b.Clone()
		for _, a := range more {
			_ = b.AddJWTAuthority(a.name, a.value) // it had that name before
		}
		return b
	},
}

var witKind = kind[*witbundle.Bundle]{
	list: func(b *witbundle.Bundle) map[string]authority { return keys(b.WITAuthorities()) },
	with: func(b *witbundle.Bundle, more []authority) *witbundle.Bundle {
		b = b.Clone()
		for _, a := range more {
			_ = b.AddWITAuthority(a.name, a.value)
		}
		return b
	},
}

// keys are authorities that are keys, which do not say when they end.
func keys[K any](all map[string]K) map[string]authority {
	out := make(map[string]authority, len(all))
	for id, key := range all {
		out[id] = authority{name: id, value: key}
	}
	return out
}
