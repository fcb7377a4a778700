package source

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

const witSVID = "WIT-SVID"

// A witPart is an accepted answer of FetchWITSVID, with what it was parsed
// from.
type witPart struct {
	out *snapshot.WIT
	set *svidSet[*workload.WITSVID, *snapshot.WITSVID]
}

// expiry returns when the first of the tokens expires.
func (p *witPart) expiry() time.Time {
	return slices.MinFunc(p.out.SVIDs, func(a, b *snapshot.WITSVID) int { return a.Expiry.Compare(b.Expiry) }).Expiry
}

func (p *witPart) svids() (fresh, refused int) {
	for _, s := range p.out.SVIDs {
		if !s.Stale {
			fresh++
		}
	}
	return fresh, len(p.out.Refused)
}

// parseWIT checks an answer of FetchWITSVID, each SVID by itself as in parseX509.
// What prev holds with the same bytes is taken from there; if that is everything,
// prev itself is returned.
func parseWIT(ctx context.Context, resp *workload.WITSVIDResponse, prev *witPart, now time.Time) (*witPart, error) {
	if len(resp.GetSvids()) == 0 {
		return nil, reject(ReasonNoSVIDs, "no SVIDs in the answer")
	}
	if prev == nil {
		prev = &witPart{out: &snapshot.WIT{}, set: &svidSet[*workload.WITSVID, *snapshot.WITSVID]{}}
	}
	known := make(map[string][]int) // by token, indexes in prev.set
	for i, raw := range prev.set.raw {
		known[raw.GetWitSvid()] = append(known[raw.GetWitSvid()], i)
	}
	set, refused := sieve[*workload.WITSVID, *snapshot.WITSVID]{
		parse: func(entry *workload.WITSVID) (*workload.WITSVID, *snapshot.WITSVID, error) {
			for _, i := range known[entry.GetWitSvid()] {
				if raw := prev.set.raw[i]; sameWITSVID(raw, entry) {
					svid := fresh(prev.set.svids[i])
					return raw, svid, checkExpiry(witSVID, svid.ID, svid.Expiry, now)
				}
			}
			svid, err := parseWITSVID(entry, now)
			return entry, svid, err
		},
		identity: func(s *snapshot.WITSVID) (spiffeid.ID, string) { return s.ID, s.Hint },
		stale:    stale,
	}.sift(ctx, resp.GetSvids(), prev.set)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case len(set.svids) == 0:
		return nil, refused.err()
	case set.same(prev.set):
		return prev, refused.err()
	}
	return &witPart{set: set, out: &snapshot.WIT{
		SVIDs: set.svids, DefaultRefused: set.defaultRefused, Refused: set.refused,
	}}, refused.err()
}

// fresh and stale return the SVID itself if it is so already.
func fresh(s *snapshot.WITSVID) *snapshot.WITSVID { return withStale(s, false) }
func stale(s *snapshot.WITSVID) *snapshot.WITSVID { return withStale(s, true) }

func withStale(s *snapshot.WITSVID, yes bool) *snapshot.WITSVID {
	if s.Stale == yes {
		return s
	}
	other := *s
	other.Stale = yes
	return &other
}

func sameWITSVID(a, b *workload.WITSVID) bool {
	return a.GetSpiffeId() == b.GetSpiffeId() && a.GetHint() == b.GetHint() &&
		a.GetWitSvid() == b.GetWitSvid() && a.GetWitSvidKey() == b.GetWitSvidKey()
}

// parseWITSVID parses token and private key, and checks that the key is the one
// that the token's cnf claim names.
func parseWITSVID(in *workload.WITSVID, now time.Time) (*snapshot.WITSVID, error) {
	token, err := parseToken(witSVID, in.GetWitSvid(), in.GetSpiffeId(), now)
	if err != nil {
		return nil, err
	}
	id := token.id
	switch {
	case token.typ() != "wit+jwt":
		return nil, reject(ReasonInvalidSVID, "WIT-SVID of %s: its type is %.20q, not wit+jwt", id, token.typ())
	case token.header.KeyID == "":
		return nil, reject(ReasonInvalidSVID, "WIT-SVID of %s: its header has no kid", id)
	case len(token.claims.Audience) > 0:
		return nil, reject(ReasonInvalidSVID, "WIT-SVID of %s: it has an audience", id)
	case len(in.GetWitSvidKey()) > maxKey:
		return nil, reject(ReasonInvalidSVID, "WIT-SVID of %s: a private key of %d bytes, the most is %d", id, len(in.GetWitSvidKey()), maxKey)
	}
	bound, err := token.boundKey()
	if err != nil {
		return nil, err
	}
	key, err := parsePrivateJWK(in.GetWitSvidKey())
	if err != nil {
		return nil, reject(ReasonGarbage, "WIT-SVID of %s: its private key %w", id, err)
	}
	if !publicKeysEqual(key.Public(), bound) {
		return nil, reject(ReasonKeyMismatch, "WIT-SVID of %s: its private key is not the one that the token is bound to", id)
	}
	return &snapshot.WITSVID{ID: id, Hint: in.GetHint(), Issued: token.issued(), Expiry: token.expiry, Token: in.GetWitSvid(), PrivateKey: key}, nil
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
