package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"maps"
	"slices"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	// maxBundles is how many bundles, and how many CRLs, of one answer are looked
	// at.
	maxBundles = 4096
	// maxAuthorities is how many authorities one bundle may have.
	maxAuthorities = 1024
)

// A bundleSet is the accepted bundles of one answer, with the bytes that they
// were parsed from.
type bundleSet[B any] struct {
	entries map[string]bundleEntry[B] // by the key in the answer
	sorted  []*B                      // in the order of trust domain names
	refused refusals                  // what was ignored inside of the bundles
}

type bundleEntry[B any] struct {
	raw         []byte
	trustDomain spiffeid.TrustDomain
	named       bool // its key is the SPIFFE ID, as the standard has it
	bundle      *B
	ignored     refusals // parts of it
}

// A bundleParser parses a bundle, and says what it ignored of it.
type bundleParser[B any] func(spiffeid.TrustDomain, []byte) (*B, refusals, error)

// parseBundles parses the bundles of an answer. What prev holds with the same
// bytes is taken from there; if that is everything, prev itself is returned.
//
// The trust domains have nothing to do with each other, so what is wrong with
// one bundle refuses that one: the last good one stays in its place, if there
// is one, and the refusals tell, beside a set that can be used. A bundle without
// a byte is none (Workload API 4.4).
func parseBundles[B any](ctx context.Context, in map[string][]byte, prev *bundleSet[B], parse bundleParser[B]) (*bundleSet[B], refusals) {
	if prev == nil {
		prev = &bundleSet[B]{}
	}
	if prev.holds(in) {
		return prev, prev.refused
	}
	next := &bundleSet[B]{entries: make(map[string]bundleEntry[B], min(len(in), maxBundles))}
	var refused refusals
	if len(in) > maxBundles {
		// What was not looked at is not gone.
		maps.Copy(next.entries, prev.entries)
		refused.add(reject(ReasonTooMany, "more than %d bundles in the answer", maxBundles))
	}
	for _, key := range slices.Sorted(maps.Keys(in)) {
		if ctx.Err() != nil {
			break
		}
		raw := in[key]
		e, known := prev.entries[key]
		switch {
		case len(raw) == 0:
			delete(next.entries, key)
			continue
		case known && bytes.Equal(e.raw, raw):
		case !known && len(next.entries) >= maxBundles:
			continue
		default:
			fresh, err := parseBundle(key, raw, parse)
			if refused.add(err); err == nil {
				e, known = fresh, true
			}
		}
		if known {
			next.entries[key] = e
		}
	}
	for _, e := range next.entries {
		next.refused.merge(e.ignored)
	}
	next.sort()
	if slices.Equal(next.sorted, prev.sorted) {
		prev.refused = next.refused
		next = prev
	}
	refused.merge(next.refused)
	return next, refused
}

func parseBundle[B any](key string, raw []byte, parse bundleParser[B]) (e bundleEntry[B], err error) {
	td, err := spiffeid.TrustDomainFromString(key)
	if err == nil && len(td.Name()) > maxTrustDomain {
		err = fmt.Errorf("a name of %d bytes, the most is %d", len(td.Name()), maxTrustDomain)
	}
	if err != nil {
		return e, reject(ReasonGarbage, "bundle of %.300q: %w", key, err)
	}
	b, ignored, err := parse(td, raw)
	return bundleEntry[B]{raw, td, key == td.IDString(), b, ignored}, err
}

// holds reports whether the set was parsed from exactly in.
func (s *bundleSet[B]) holds(in map[string][]byte) bool {
	if len(in) != len(s.entries) {
		return false
	}
	for key, raw := range in {
		if e, ok := s.entries[key]; !ok || !bytes.Equal(e.raw, raw) {
			return false
		}
	}
	return true
}

// hasOne reports whether a bundle of in is in the set.
func (s *bundleSet[B]) hasOne(in map[string][]byte) bool {
	for key, raw := range in {
		if e, ok := s.entries[key]; ok && bytes.Equal(e.raw, raw) {
			return true
		}
	}
	return false
}

// sort fills in sorted. Of two keys that name one trust domain, the SPIFFE ID
// counts; if both have the same bundle, nothing is wrong.
func (s *bundleSet[B]) sort() {
	entries := slices.SortedFunc(maps.Values(s.entries), func(a, b bundleEntry[B]) int {
		switch order := a.trustDomain.Compare(b.trustDomain); {
		case order != 0 || a.named == b.named:
			return order
		case a.named:
			return -1
		default:
			return 1
		}
	})
	s.sorted = make([]*B, 0, len(entries))
	for i, e := range entries {
		if i == 0 || entries[i-1].trustDomain != e.trustDomain {
			s.sorted = append(s.sorted, e.bundle)
		} else if !bytes.Equal(entries[i-1].raw, e.raw) {
			s.refused.add(reject(ReasonGarbage, "two bundles for trust domain %q", e.trustDomain))
		}
	}
}

// parseX509Bundle parses DER certificates, concatenated; there must be one.
func parseX509Bundle(td spiffeid.TrustDomain, raw []byte) (*x509bundle.Bundle, error) {
	if n := countDER(raw, maxAuthorities+1); n > maxAuthorities {
		return nil, reject(ReasonTooMany, "X.509 bundle of %q: more than %d authorities", td, maxAuthorities)
	}
	b, err := x509bundle.ParseRaw(td, raw)
	if err != nil {
		return nil, reject(ReasonGarbage, "X.509 bundle of %q: %w", td, err)
	}
	if b.Empty() {
		return nil, reject(ReasonNoBundle, "X.509 bundle of %q is empty", td)
	}
	return b, nil
}

// wholeX509Bundle is parseX509Bundle as a bundleParser.
func wholeX509Bundle(td spiffeid.TrustDomain, raw []byte) (*x509bundle.Bundle, refusals, error) {
	b, err := parseX509Bundle(td, raw)
	return b, refusals{}, err
}

// countDER counts the values in concatenated DER, up to most, without parsing
// what is in them.
func countDER(raw []byte, most int) (n int) {
	var value asn1.RawValue
	for ; n < most && len(raw) > 0; n++ {
		rest, err := asn1.Unmarshal(raw, &value)
		if err != nil {
			break
		}
		raw = rest
	}
	return n
}

// parseCRLs parses CRLs; what prev holds is taken from there, and if that is
// everything, prev itself is returned. So it is beside an error: what was
// revoked stays so.
func parseCRLs(ctx context.Context, in [][]byte, prev []*x509.RevocationList) ([]*x509.RevocationList, error) {
	if len(in) > maxBundles {
		return prev, reject(ReasonTooMany, "more than %d CRLs in the answer", maxBundles)
	}
	known := make(map[digest]*x509.RevocationList, len(prev))
	for _, crl := range prev {
		known[sha256.Sum256(crl.Raw)] = crl
	}
	var next []*x509.RevocationList
	for i, raw := range in {
		crl := known[sha256.Sum256(raw)]
		if crl == nil {
			var err error
			if crl, err = x509.ParseRevocationList(raw); err != nil || ctx.Err() != nil {
				return prev, reject(ReasonGarbage, "CRL %d of the answer: %w", i, err)
			}
		}
		next = append(next, crl)
	}
	if slices.Equal(next, prev) {
		return prev, nil
	}
	return next, nil
}
