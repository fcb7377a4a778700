package source

import (
	"bytes"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A bundleSet is the accepted bundles of one answer, with the bytes that they
// were parsed from.
type bundleSet[B any] struct {
	entries map[string]bundleEntry[B] // by the key in the answer
	sorted  []*B                      // in the order of trust domain names
}

type bundleEntry[B any] struct {
	raw         []byte
	trustDomain spiffeid.TrustDomain
	named       bool // its key is the SPIFFE ID, as the standard has it
	bundle      *B
}

// parseBundles parses the bundles of an answer. What prev holds with the same
// bytes is taken from there; if that is everything, prev itself is returned.
//
// The trust domains have nothing to do with each other, so what is wrong with
// one bundle refuses that one: the last good one stays in its place, if there
// is one, and the error tells, beside a set that can be used. A bundle without
// a byte is none (Workload API 4.4).
func parseBundles[B any](in map[string][]byte, prev *bundleSet[B], parse func(spiffeid.TrustDomain, []byte) (*B, error)) (*bundleSet[B], error) {
	if prev == nil {
		prev = &bundleSet[B]{}
	}
	if prev.holds(in) {
		return prev, nil
	}
	next := &bundleSet[B]{entries: make(map[string]bundleEntry[B], len(in))}
	var refused []error
	for _, key := range slices.Sorted(maps.Keys(in)) {
		raw := in[key]
		if len(raw) == 0 {
			continue
		}
		e, known := prev.entries[key]
		if !known || !bytes.Equal(e.raw, raw) {
			fresh, err := parseBundle(key, raw, parse)
			if err != nil {
				refused = append(refused, err)
			} else {
				e, known = fresh, true
			}
		}
		if known {
			next.entries[key] = e
		}
	}
	refused = append(refused, next.sort()...)
	if slices.Equal(next.sorted, prev.sorted) {
		next = prev
	}
	return next, firstOf(refused)
}

func parseBundle[B any](key string, raw []byte, parse func(spiffeid.TrustDomain, []byte) (*B, error)) (bundleEntry[B], error) {
	td, err := spiffeid.TrustDomainFromString(key)
	if err != nil {
		return bundleEntry[B]{}, reject(ReasonGarbage, "bundle of %.300q: %w", key, err)
	}
	b, err := parse(td, raw)
	return bundleEntry[B]{raw: raw, trustDomain: td, named: key == td.IDString(), bundle: b}, err
}

// firstOf returns the first refusal, and says how many more there are.
func firstOf(refused []error) error {
	if len(refused) == 0 {
		return nil
	}
	var first *Rejection
	if len(refused) == 1 || !errors.As(refused[0], &first) {
		return refused[0]
	}
	return reject(first.Reason, "%w (and %d more)", first.Err, len(refused)-1)
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
func (s *bundleSet[B]) sort() (refused []error) {
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
			refused = append(refused, reject(ReasonGarbage, "two bundles for trust domain %q", e.trustDomain))
		}
	}
	return refused
}

// parseX509Bundle parses DER certificates, concatenated; there must be one.
func parseX509Bundle(td spiffeid.TrustDomain, raw []byte) (*x509bundle.Bundle, error) {
	b, err := x509bundle.ParseRaw(td, raw)
	if err != nil {
		return nil, reject(ReasonGarbage, "X.509 bundle of %q: %w", td, err)
	}
	if b.Empty() {
		return nil, reject(ReasonNoBundle, "X.509 bundle of %q is empty", td)
	}
	return b, nil
}

// parseCRLs parses CRLs; what prev holds is taken from there, and if that is
// everything, prev itself is returned. So it is beside an error: what was
// revoked stays so.
func parseCRLs(in [][]byte, prev []*x509.RevocationList) ([]*x509.RevocationList, error) {
	var next []*x509.RevocationList
	same := len(in) == len(prev)
	for i, raw := range in {
		j := slices.IndexFunc(prev, func(c *x509.RevocationList) bool { return bytes.Equal(c.Raw, raw) })
		if j >= 0 {
			same = same && i == j
			next = append(next, prev[j])
			continue
		}
		same = false
		crl, err := x509.ParseRevocationList(raw)
		if err != nil {
			return prev, reject(ReasonGarbage, "CRL %d of the answer: %w", i, err)
		}
		next = append(next, crl)
	}
	if same {
		return prev, nil
	}
	return next, nil
}

// none is why an answer has no bundle: err, unless every one of them is empty.
func none(err error, text string) error {
	if err != nil {
		return err
	}
	return reject(ReasonNoBundle, "%s", text)
}

// An x509BundlesPart is an accepted answer of FetchX509Bundles.
type x509BundlesPart struct {
	out *snapshot.X509Bundles
	set *bundleSet[x509bundle.Bundle]
}

// parseX509Bundles checks an answer of FetchX509Bundles (Workload API 5.2.2).
func parseX509Bundles(resp *workload.X509BundlesResponse, prev *x509BundlesPart, _ time.Time) (*x509BundlesPart, error) {
	if len(resp.GetBundles()) == 0 {
		return nil, reject(ReasonNoBundle, "no X.509 bundles in the answer")
	}
	if prev == nil {
		prev = &x509BundlesPart{out: &snapshot.X509Bundles{}}
	}
	set, err := parseBundles(resp.GetBundles(), prev.set, parseX509Bundle)
	if !set.hasOne(resp.GetBundles()) {
		return nil, none(err, "no X.509 bundle in the answer has an authority")
	}
	crls, crlErr := parseCRLs(resp.GetCrl(), prev.out.CRLs)
	if err == nil {
		err = crlErr
	}
	if set == prev.set && slices.Equal(crls, prev.out.CRLs) {
		return prev, err
	}
	return &x509BundlesPart{set: set, out: &snapshot.X509Bundles{Bundles: set.sorted, CRLs: crls}}, err
}

// A jwtBundlesPart is an accepted answer of FetchJWTBundles.
type jwtBundlesPart struct {
	out *snapshot.JWTBundles
	set *bundleSet[jwtbundle.Bundle]
}

// parseJWTBundles checks an answer of FetchJWTBundles (Workload API 6.2.2).
func parseJWTBundles(resp *workload.JWTBundlesResponse, prev *jwtBundlesPart, _ time.Time) (*jwtBundlesPart, error) {
	if len(resp.GetBundles()) == 0 {
		return nil, reject(ReasonNoBundle, "no JWT bundles in the answer")
	}
	if prev == nil {
		prev = &jwtBundlesPart{}
	}
	set, err := parseBundles(resp.GetBundles(), prev.set, parseJWTBundle)
	if !set.hasOne(resp.GetBundles()) {
		return nil, none(err, "no JWT bundle in the answer is a JWKS")
	}
	if set == prev.set {
		return prev, err
	}
	return &jwtBundlesPart{set: set, out: &snapshot.JWTBundles{Bundles: set.sorted}}, err
}

// A witBundlesPart is an accepted answer of FetchWITBundles.
type witBundlesPart struct {
	out *snapshot.WITBundles
	set *bundleSet[witbundle.Bundle]
}

// parseWITBundles checks an answer of FetchWITBundles.
func parseWITBundles(resp *workload.WITBundlesResponse, prev *witBundlesPart, _ time.Time) (*witBundlesPart, error) {
	if len(resp.GetBundles()) == 0 {
		return nil, reject(ReasonNoBundle, "no WIT bundles in the answer")
	}
	if prev == nil {
		prev = &witBundlesPart{}
	}
	in := make(map[string][]byte, len(resp.GetBundles()))
	for key, raw := range resp.GetBundles() {
		in[key] = []byte(raw)
	}
	set, err := parseBundles(in, prev.set, parseWITBundle)
	if !set.hasOne(in) {
		return nil, none(err, "no WIT bundle in the answer is a JWKS")
	}
	if set == prev.set {
		return prev, err
	}
	return &witBundlesPart{set: set, out: &snapshot.WITBundles{Bundles: set.sorted}}, err
}
