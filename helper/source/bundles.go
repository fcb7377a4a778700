package source

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
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
	bundle      *B
}

// parseBundles parses the bundles of an answer. What prev holds with the same
// bytes is taken from there; if that is everything, prev itself is returned.
func parseBundles[B any](in map[string][]byte, prev *bundleSet[B], parse func(spiffeid.TrustDomain, []byte) (*B, error)) (*bundleSet[B], error) {
	if prev == nil {
		prev = &bundleSet[B]{}
	}
	if prev.holds(in) {
		return prev, nil
	}
	next := &bundleSet[B]{entries: make(map[string]bundleEntry[B], len(in))}
	for key, raw := range in {
		if e, ok := prev.entries[key]; ok && bytes.Equal(e.raw, raw) {
			next.entries[key] = e
			continue
		}
		td, err := spiffeid.TrustDomainFromString(key)
		if err != nil {
			return nil, reject(ReasonGarbage, "bundle of %.300q: %w", key, err)
		}
		b, err := parse(td, raw)
		if err != nil {
			return nil, err
		}
		next.entries[key] = bundleEntry[B]{raw: raw, trustDomain: td, bundle: b}
	}
	if err := next.sort(); err != nil {
		return nil, err
	}
	return next, nil
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

// sort fills in sorted. Two keys that name one trust domain contradict each
// other.
func (s *bundleSet[B]) sort() error {
	entries := make([]bundleEntry[B], 0, len(s.entries))
	for _, e := range s.entries {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b bundleEntry[B]) int { return a.trustDomain.Compare(b.trustDomain) })
	s.sorted = make([]*B, len(entries))
	for i, e := range entries {
		if i > 0 && entries[i-1].trustDomain == e.trustDomain {
			return reject(ReasonGarbage, "two bundles for trust domain %q", e.trustDomain)
		}
		s.sorted[i] = e.bundle
	}
	return nil
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
// everything, prev itself is returned.
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
			return nil, reject(ReasonGarbage, "CRL %d of the answer: %w", i, err)
		}
		next = append(next, crl)
	}
	if same {
		return prev, nil
	}
	return next, nil
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
	if err != nil {
		return nil, err
	}
	crls, err := parseCRLs(resp.GetCrl(), prev.out.CRLs)
	if err != nil {
		return nil, err
	}
	if set == prev.set && slices.Equal(crls, prev.out.CRLs) {
		return prev, nil
	}
	return &x509BundlesPart{set: set, out: &snapshot.X509Bundles{Bundles: set.sorted, CRLs: crls}}, nil
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
	if err != nil {
		return nil, err
	}
	if set == prev.set {
		return prev, nil
	}
	return &jwtBundlesPart{set: set, out: &snapshot.JWTBundles{Bundles: set.sorted}}, nil
}

func parseJWTBundle(td spiffeid.TrustDomain, raw []byte) (*jwtbundle.Bundle, error) {
	b, err := jwtbundle.Parse(td, raw)
	if err != nil {
		return nil, reject(ReasonGarbage, "JWT bundle of %q: %w", td, err)
	}
	if err := checkJWKS(raw, b.JWTAuthorities()); err != nil {
		return nil, reject(ReasonGarbage, "JWT bundle of %q: %w", td, err)
	}
	return b, nil
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
	if err != nil {
		return nil, err
	}
	if set == prev.set {
		return prev, nil
	}
	return &witBundlesPart{set: set, out: &snapshot.WITBundles{Bundles: set.sorted}}, nil
}

func parseWITBundle(td spiffeid.TrustDomain, raw []byte) (*witbundle.Bundle, error) {
	b, err := witbundle.Parse(td, raw)
	if err != nil {
		return nil, reject(ReasonGarbage, "WIT bundle of %q: %w", td, err)
	}
	if err := checkJWKS(raw, b.WITAuthorities()); err != nil {
		return nil, reject(ReasonGarbage, "WIT bundle of %q: %w", td, err)
	}
	return b, nil
}

// checkJWKS looks at what go-spiffe leaves open: a document without "keys" is
// no JWKS, and an authority is a public key, never a private or a shared one. A
// JWKS with no keys is right: the trust domain has withdrawn them (SPIFFE
// Trust Domain and Bundle 4.1).
func checkJWKS(raw []byte, authorities map[string]crypto.PublicKey) error {
	var doc struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil || doc.Keys == nil {
		return errors.New("not a JWKS: it has no keys member")
	}
	for kid, key := range authorities {
		jwk := jose.JSONWebKey{Key: key}
		if !jwk.Valid() || !jwk.IsPublic() {
			return fmt.Errorf("authority %.100q is not a public key", kid)
		}
	}
	return nil
}
