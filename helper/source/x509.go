package source

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
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

// An x509Part is an accepted answer of FetchX509SVID, with what it was parsed
// from.
type x509Part struct {
	out       *snapshot.X509
	set       *svidSet[*workload.X509SVID, snapshot.X509SVID]
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

func (p *x509Part) svids() (fresh, refused int) {
	for _, s := range p.out.SVIDs {
		if !s.Stale {
			fresh++
		}
	}
	return fresh, len(p.out.Refused)
}

// parseX509 checks an answer of FetchX509SVID (Workload API 5.2.1). Each SVID,
// each foreign trust domain's bundle and the CRLs stand alone: the last good one
// stays in the place of one that is refused. What is refused is returned beside
// the part. Without any SVID, old or new, there is no part. What prev holds with
// the same bytes is taken from there; if that is everything, prev itself is
// returned.
func parseX509(ctx context.Context, resp *workload.X509SVIDResponse, prev *x509Part, now time.Time) (*x509Part, error) {
	if len(resp.GetSvids()) == 0 {
		return nil, reject(ReasonNoSVIDs, "no SVIDs in the answer")
	}
	if prev == nil {
		prev = &x509Part{out: &snapshot.X509{}, set: &svidSet[*workload.X509SVID, snapshot.X509SVID]{}}
	}
	parser := newX509Parser(prev, now)
	set, refused := sieve[*workload.X509SVID, snapshot.X509SVID]{
		parse:    parser.parse,
		identity: func(s snapshot.X509SVID) (spiffeid.ID, string) { return s.ID, s.Hint },
		stale:    func(s snapshot.X509SVID) snapshot.X509SVID { s.Stale = true; return s },
	}.sift(ctx, resp.GetSvids(), prev.set)
	if ctx.Err() == nil && len(set.svids) == 0 {
		return nil, refused.err()
	}
	federated, others := parseBundles(ctx, resp.GetFederatedBundles(), prev.federated, wholeX509Bundle)
	crls, err := parseCRLs(ctx, resp.GetCrl(), prev.out.CRLs)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	refused.merge(others)
	refused.add(err)
	if set.same(prev.set) && federated == prev.federated && slices.Equal(crls, prev.out.CRLs) {
		return prev, refused.err()
	}
	next := &x509Part{set: set, federated: federated, out: &snapshot.X509{
		SVIDs: set.svids, DefaultRefused: set.defaultRefused, Refused: set.refused,
		Federated: federated.sorted, CRLs: crls,
	}}
	return next, refused.err()
}

// An x509Parser parses the SVIDs of one answer. What was parsed from the same
// bytes before it takes from there, found by its bytes: a thousand SVIDs cost no
// million comparisons.
type x509Parser struct {
	now     time.Time
	prev    *x509Part
	chains  map[digest][]int // by certificates, indexes in prev.set
	bundles map[bundleKey]*x509bundle.Bundle
}

type digest [sha256.Size]byte

type bundleKey struct {
	trustDomain spiffeid.TrustDomain
	der         digest
}

func newX509Parser(prev *x509Part, now time.Time) *x509Parser {
	p := &x509Parser{now: now, prev: prev, chains: make(map[digest][]int), bundles: make(map[bundleKey]*x509bundle.Bundle)}
	for i, raw := range prev.set.raw {
		svid := prev.set.svids[i]
		chain := digest(sha256.Sum256(raw.GetX509Svid()))
		p.chains[chain] = append(p.chains[chain], i)
		p.bundles[bundleKey{svid.ID.TrustDomain(), sha256.Sum256(raw.GetBundle())}] = svid.Bundle
	}
	return p
}

// parse checks one entry.
func (p *x509Parser) parse(in *workload.X509SVID) (*workload.X509SVID, snapshot.X509SVID, error) {
	var none snapshot.X509SVID
	id, err := parseID(in.GetSpiffeId())
	if err != nil {
		return nil, none, reject(ReasonGarbage, "spiffe_id of an X.509-SVID: %w", err)
	}
	var svid *x509svid.SVID
	for _, i := range p.chains[sha256.Sum256(in.GetX509Svid())] {
		raw, old := p.prev.set.raw[i], p.prev.set.svids[i]
		if raw.GetSpiffeId() != in.GetSpiffeId() || raw.GetHint() != in.GetHint() || !bytes.Equal(raw.GetX509SvidKey(), in.GetX509SvidKey()) {
			continue
		}
		if bytes.Equal(raw.GetBundle(), in.GetBundle()) {
			old.Stale = false
			return raw, old, checkTimes(id, old.Certificates, p.now)
		}
		svid = old.SVID
	}
	if svid == nil {
		if svid, err = parseX509SVID(in, id); err != nil {
			return nil, none, err
		}
	}
	if err := checkTimes(id, svid.Certificates, p.now); err != nil {
		return nil, none, err
	}
	key := bundleKey{id.TrustDomain(), sha256.Sum256(in.GetBundle())}
	bundle := p.bundles[key]
	if bundle == nil {
		if bundle, err = parseX509Bundle(id.TrustDomain(), in.GetBundle()); err != nil {
			return nil, none, err
		}
		p.bundles[key] = bundle
	}
	if _, _, err := x509svid.Verify(svid.Certificates, bundle, x509svid.WithTime(p.now)); err != nil {
		return nil, none, reject(ReasonChain, "X.509-SVID %s does not verify against its bundle: %w", id, err)
	}
	return in, snapshot.X509SVID{SVID: svid, Bundle: bundle}, nil
}

// parseX509SVID parses certificates and key, and checks that they are id's.
func parseX509SVID(in *workload.X509SVID, id spiffeid.ID) (*x509svid.SVID, error) {
	if err := checkSize(in, id); err != nil {
		return nil, err
	}
	svid, err := x509svid.ParseRaw(in.GetX509Svid(), in.GetX509SvidKey())
	switch {
	case err != nil:
		return nil, diagnoseX509SVID(in, id, err)
	case svid.ID.TrustDomain() != id.TrustDomain():
		return nil, reject(ReasonForeignTrustDomain, "X.509-SVID of %s announced as %s: another trust domain's", svid.ID, id)
	case svid.ID != id:
		return nil, reject(ReasonIDMismatch, "X.509-SVID of %s announced as %s", svid.ID, id)
	case !serves(svid.Certificates[0]):
		return nil, reject(ReasonInvalidSVID, "X.509-SVID of %s: its extended key usage is for neither servers nor clients (X509-SVID 4.4)", id)
	}
	svid.Hint = in.GetHint()
	return svid, nil
}

const (
	// maxChain is how many certificates one SVID may have, and maxChainSize how
	// many bytes they may take.
	maxChain     = 100
	maxChainSize = 1 << 20
	// maxKey is how long a private key may be, in bytes. An RSA key of 8,192 bits
	// takes 4,700, and to check one takes time that grows with the cube of it.
	maxKey = 8 << 10
)

// checkSize refuses what would take long to parse.
func checkSize(in *workload.X509SVID, id spiffeid.ID) error {
	if n := len(in.GetX509Svid()); n > maxChainSize {
		return reject(ReasonTooMany, "X.509-SVID of %s: certificates of %d bytes, the most is %d", id, n, maxChainSize)
	}
	if n := countDER(in.GetX509Svid(), maxChain+1); n > maxChain {
		return reject(ReasonTooMany, "X.509-SVID of %s: more than %d certificates in its chain", id, maxChain)
	}
	if n := len(in.GetX509SvidKey()); n > maxKey {
		return reject(ReasonInvalidSVID, "X.509-SVID of %s: a private key of %d bytes, the most is %d", id, n, maxKey)
	}
	return nil
}

// serves reports whether a leaf may be shown by a server or a client. One that
// does not say may (X509-SVID 4.4).
func serves(leaf *x509.Certificate) bool {
	return len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 || slices.ContainsFunc(leaf.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny
	})
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

// checkTimes checks the leaf's validity, and that every time of the chain can be
// said. The bounds are inclusive (RFC 5280 4.1.2.5).
func checkTimes(id spiffeid.ID, chain []*x509.Certificate, now time.Time) error {
	leaf := chain[0]
	for _, c := range chain {
		if c.NotAfter.After(lastSecond) {
			return reject(ReasonTime, "X.509-SVID of %s: a certificate is valid until %s, which is beyond the year 9999", id, c.NotAfter.UTC())
		}
	}
	switch {
	case now.After(leaf.NotAfter):
		return reject(ReasonExpired, "X.509-SVID of %s expired at %s", id, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		text := fmt.Sprintf("X.509-SVID of %s is valid from %s on; compare the clocks", id, leaf.NotBefore.UTC().Format(time.RFC3339))
		return &Rejection{Reason: ReasonNotYetValid, text: text, from: leaf.NotBefore}
	}
	return nil
}
