package source

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/exp/svid/witsvid"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A witPart is an accepted answer of FetchWITSVID, with what it was parsed
// from.
type witPart struct {
	out *snapshot.WIT
	raw []*workload.WITSVID // raw[i] became out.SVIDs[i]
}

// expiry returns when the first of the tokens expires.
func (p *witPart) expiry() time.Time {
	return slices.MinFunc(p.out.SVIDs, func(a, b *witsvid.SVID) int { return a.Expiry.Compare(b.Expiry) }).Expiry
}

// parseWIT checks an answer of FetchWITSVID as a whole: one bad entry refuses
// all of it. What prev holds with the same bytes is taken from there; if that
// is everything, prev itself is returned.
func parseWIT(resp *workload.WITSVIDResponse, prev *witPart, now time.Time) (*witPart, error) {
	if prev == nil {
		prev = &witPart{out: &snapshot.WIT{}}
	}
	entries, err := distinctHints(resp.GetSvids())
	if err != nil {
		return nil, err
	}
	next := &witPart{out: &snapshot.WIT{}}
	for _, entry := range entries {
		i := slices.IndexFunc(prev.raw, func(old *workload.WITSVID) bool { return sameWITSVID(old, entry) })
		var svid *witsvid.SVID
		if i >= 0 {
			entry, svid = prev.raw[i], prev.out.SVIDs[i]
		} else if svid, err = parseWITSVID(entry, now); err != nil {
			return nil, err
		}
		if !svid.Expiry.After(now) {
			return nil, reject(ReasonExpired, "WIT-SVID of %s expired at %s", svid.ID, svid.Expiry.Format(time.RFC3339))
		}
		next.raw = append(next.raw, entry)
		next.out.SVIDs = append(next.out.SVIDs, svid)
	}
	if slices.Equal(next.raw, prev.raw) {
		return prev, nil
	}
	return next, nil
}

func sameWITSVID(a, b *workload.WITSVID) bool {
	return a.GetSpiffeId() == b.GetSpiffeId() && a.GetHint() == b.GetHint() &&
		a.GetWitSvid() == b.GetWitSvid() && a.GetWitSvidKey() == b.GetWitSvidKey()
}

// parseWITSVID parses token and private key, and checks that the key is the one
// that the token's cnf claim names.
func parseWITSVID(in *workload.WITSVID, now time.Time) (*witsvid.SVID, error) {
	id, err := spiffeid.FromString(in.GetSpiffeId())
	if err != nil {
		return nil, reject(ReasonGarbage, "spiffe_id of a WIT-SVID: %w", err)
	}
	if !compact(in.GetWitSvid()) {
		return nil, reject(ReasonGarbage, "WIT-SVID: not a JWS in compact serialization")
	}
	svid, err := witsvid.ParseInsecure(in.GetWitSvid())
	switch {
	case err != nil:
		return nil, diagnoseToken(in.GetWitSvid(), nil, now, err)
	case svid.ID.TrustDomain() != id.TrustDomain():
		return nil, reject(ReasonForeignTrustDomain, "WIT-SVID of %s announced as %s: another trust domain's", svid.ID, id)
	case svid.ID != id:
		return nil, reject(ReasonIDMismatch, "WIT-SVID of %s announced as %s", svid.ID, id)
	}
	key, err := parsePrivateJWK(in.GetWitSvidKey())
	if err != nil {
		return nil, reject(ReasonGarbage, "WIT-SVID of %s: its private key %w", id, err)
	}
	if !publicKeysEqual(key.Public(), svid.PublicKey) {
		return nil, reject(ReasonKeyMismatch, "WIT-SVID of %s: its private key is not the one that the token is bound to", id)
	}
	svid.PrivateKey = key
	svid.Hint = in.GetHint()
	return svid, nil
}

var errNoPrivateJWK = errors.New("is not a private JWK of type EC, RSA or OKP")

// parsePrivateJWK parses a private key. A JWK holds both halves of the pair and
// nothing makes them agree, so the public half is computed anew. What a parser
// says of a private key is not for logs.
func parsePrivateJWK(raw string) (crypto.Signer, error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON([]byte(raw)); err != nil {
		return nil, errNoPrivateJWK
	}
	agree := false
	switch key := jwk.Key.(type) {
	case *ecdsa.PrivateKey:
		if d, err := key.Bytes(); err == nil {
			again, err := ecdsa.ParseRawPrivateKey(key.Curve, d)
			agree = err == nil && again.PublicKey.Equal(&key.PublicKey)
		}
	case *rsa.PrivateKey:
		agree = key.Validate() == nil
	case ed25519.PrivateKey:
		agree = len(key) == ed25519.PrivateKeySize && ed25519.NewKeyFromSeed(key.Seed()).Equal(key)
	}
	if signer, ok := jwk.Key.(crypto.Signer); ok && agree {
		return signer, nil
	}
	return nil, errNoPrivateJWK
}
