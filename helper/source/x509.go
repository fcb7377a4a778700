package source

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// maxHint is the longest hint there may be, in bytes (Workload API 5.2.1).
const maxHint = 1024

// An x509Part is an accepted answer of FetchX509SVID, with what it was parsed
// from.
type x509Part struct {
	out       *snapshot.X509
	raw       []*workload.X509SVID // raw[i] became out.SVIDs[i]
	federated *bundleSet[x509bundle.Bundle]
}

// expiry returns when the first of the leaves expires.
func (p *x509Part) expiry() time.Time {
	first := p.out.SVIDs[0].Certificates[0].NotAfter
	for _, svid := range p.out.SVIDs[1:] {
		if end := svid.Certificates[0].NotAfter; end.Before(first) {
			first = end
		}
	}
	return first
}

// parseX509 checks an answer of FetchX509SVID (Workload API 5.2.1). One bad SVID
// refuses all of it: the order says which is the default. What is wrong with a
// foreign trust domain's bundle or a CRL is no reason to let the SVIDs expire:
// it is returned beside the part, which has the last good one instead. What prev
// holds with the same bytes is taken from there; if that is everything, prev
// itself is returned.
func parseX509(resp *workload.X509SVIDResponse, prev *x509Part, now time.Time) (*x509Part, error) {
	if prev == nil {
		prev = &x509Part{out: &snapshot.X509{}}
	}
	entries, err := distinctHints(resp.GetSvids())
	if err != nil {
		return nil, err
	}
	next := &x509Part{out: &snapshot.X509{}}
	for _, entry := range entries {
		raw, svid, err := parseX509Entry(entry, prev, next, now)
		if err != nil {
			return nil, err
		}
		next.raw = append(next.raw, raw)
		next.out.SVIDs = append(next.out.SVIDs, svid)
	}
	next.federated, err = parseBundles(resp.GetFederatedBundles(), prev.federated, parseX509Bundle)
	var crlErr error
	if next.out.CRLs, crlErr = parseCRLs(resp.GetCrl(), prev.out.CRLs); err == nil {
		err = crlErr
	}
	if slices.Equal(next.raw, prev.raw) && next.federated == prev.federated && slices.Equal(next.out.CRLs, prev.out.CRLs) {
		return prev, err
	}
	next.out.Federated = next.federated.sorted
	return next, err
}

// A hinted is an entry of an answer with SVIDs.
type hinted interface{ GetHint() string }

// distinctHints returns the entries that count: of several with the same hint,
// the first (Workload API 5.2.1).
func distinctHints[E hinted](entries []E) ([]E, error) {
	if len(entries) == 0 {
		return nil, reject(ReasonNoSVIDs, "no SVIDs in the answer")
	}
	distinct := make([]E, 0, len(entries))
	seen := make(map[string]bool)
	for i, e := range entries {
		hint := e.GetHint()
		if len(hint) > maxHint {
			return nil, reject(ReasonHint, "entry %d: hint of %d bytes, the most is %d", i, len(hint), maxHint)
		}
		if hint != "" && seen[hint] {
			continue
		}
		seen[hint] = true
		distinct = append(distinct, e)
	}
	return distinct, nil
}

// parseX509Entry checks one entry. It returns prev's parts, the raw entry
// included, where the bytes are the same; a bundle it also shares with the
// entries before it in next.
func parseX509Entry(in *workload.X509SVID, prev, next *x509Part, now time.Time) (*workload.X509SVID, snapshot.X509SVID, error) {
	var none snapshot.X509SVID
	i := slices.IndexFunc(prev.raw, func(old *workload.X509SVID) bool { return sameX509SVID(old, in) })
	if i >= 0 && bytes.Equal(prev.raw[i].GetBundle(), in.GetBundle()) {
		svid := prev.out.SVIDs[i]
		return prev.raw[i], svid, checkTimes(svid.ID, svid.Certificates[0], now)
	}
	id, err := spiffeid.FromString(in.GetSpiffeId())
	if err != nil {
		return nil, none, reject(ReasonGarbage, "spiffe_id of an X.509-SVID: %w", err)
	}
	var svid *x509svid.SVID
	if i >= 0 {
		svid = prev.out.SVIDs[i].SVID
	} else if svid, err = parseX509SVID(in, id); err != nil {
		return nil, none, err
	}
	if err := checkTimes(id, svid.Certificates[0], now); err != nil {
		return nil, none, err
	}
	bundle := knownBundle(in, id.TrustDomain(), next, prev)
	if bundle == nil {
		if bundle, err = parseX509Bundle(id.TrustDomain(), in.GetBundle()); err != nil {
			return nil, none, err
		}
	}
	if _, _, err := x509svid.Verify(svid.Certificates, bundle, x509svid.WithTime(now)); err != nil {
		return nil, none, reject(ReasonChain, "X.509-SVID %s does not verify against its bundle: %w", id, err)
	}
	return in, snapshot.X509SVID{SVID: svid, Bundle: bundle}, nil
}

func sameX509SVID(a, b *workload.X509SVID) bool {
	return a.GetSpiffeId() == b.GetSpiffeId() && a.GetHint() == b.GetHint() &&
		bytes.Equal(a.GetX509Svid(), b.GetX509Svid()) && bytes.Equal(a.GetX509SvidKey(), b.GetX509SvidKey())
}

// knownBundle finds the bundle that was parsed from the same bytes, for the
// same trust domain, before.
func knownBundle(in *workload.X509SVID, td spiffeid.TrustDomain, parts ...*x509Part) *x509bundle.Bundle {
	for _, p := range parts {
		for i, old := range p.raw {
			if b := p.out.SVIDs[i].Bundle; b.TrustDomain() == td && bytes.Equal(old.GetBundle(), in.GetBundle()) {
				return b
			}
		}
	}
	return nil
}

// parseX509SVID parses certificates and key, and checks that they are id's.
func parseX509SVID(in *workload.X509SVID, id spiffeid.ID) (*x509svid.SVID, error) {
	svid, err := x509svid.ParseRaw(in.GetX509Svid(), in.GetX509SvidKey())
	switch {
	case err != nil:
		return nil, diagnoseX509SVID(in, id, err)
	case svid.ID.TrustDomain() != id.TrustDomain():
		return nil, reject(ReasonForeignTrustDomain, "X.509-SVID of %s announced as %s: another trust domain's", svid.ID, id)
	case svid.ID != id:
		return nil, reject(ReasonIDMismatch, "X.509-SVID of %s announced as %s", svid.ID, id)
	}
	svid.Hint = in.GetHint()
	return svid, nil
}

// diagnoseX509SVID finds the reason behind err, at the price of parsing once
// more.
func diagnoseX509SVID(in *workload.X509SVID, id spiffeid.ID, err error) error {
	certs, certErr := x509.ParseCertificates(in.GetX509Svid())
	if certErr != nil || len(certs) == 0 {
		return reject(ReasonGarbage, "X.509-SVID of %s: %w", id, err)
	}
	key, keyErr := x509.ParsePKCS8PrivateKey(in.GetX509SvidKey())
	if keyErr != nil {
		// What the parser says of a private key is not for logs.
		return reject(ReasonGarbage, "X.509-SVID of %s: its private key is not PKCS#8", id)
	}
	if signer, ok := key.(crypto.Signer); ok && !publicKeysEqual(signer.Public(), certs[0].PublicKey) {
		return reject(ReasonKeyMismatch, "X.509-SVID of %s: its private key belongs to another certificate", id)
	}
	return reject(ReasonInvalidSVID, "X.509-SVID of %s: %w", id, err)
}

func publicKeysEqual(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// checkTimes checks the leaf's validity. The bounds are inclusive (RFC 5280
// 4.1.2.5).
func checkTimes(id spiffeid.ID, leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return reject(ReasonExpired, "X.509-SVID of %s expired at %s", id, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		err := fmt.Errorf("X.509-SVID of %s is valid from %s on; compare the clocks", id, leaf.NotBefore.UTC().Format(time.RFC3339))
		return &Rejection{Reason: ReasonNotYetValid, Err: err, from: leaf.NotBefore}
	}
	return nil
}
