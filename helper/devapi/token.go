package devapi

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
)

// A tokenKey signs tokens. Its key is made once: that is what lets a thousand
// tokens be signed quickly.
type tokenKey struct {
	id     string
	public jose.JSONWebKey // as it stands in the bundle
	signer jose.Signer
}

// newTokenKey makes a key whose tokens carry the given type, and which stands in
// a bundle with the given use; empty: with none.
func newTokenKey(algorithm JWTAlgorithm, typ, use string) (*tokenKey, error) {
	var kind KeyType
	switch algorithm {
	case JWTDefault, ES256:
		algorithm, kind = ES256, ECP256
	case RS256:
		kind = RSA2048
	default:
		return nil, algorithm.Check()
	}
	key, err := kind.Generate()
	if err != nil {
		return nil, err
	}
	k := &tokenKey{id: rand.Text()}
	k.public = jose.JSONWebKey{Key: key.Public(), KeyID: k.id, Use: use}
	k.signer, err = jose.NewSigner(
		jose.SigningKey{
			Algorithm: jose.SignatureAlgorithm(algorithm),
			Key:       jose.JSONWebKey{Key: key, KeyID: k.id},
		},
		new(jose.SignerOptions).WithType(jose.ContentType(typ)))
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (k *tokenKey) publicKey() crypto.PublicKey { return k.public.Key }

// newClaims returns the claims that JWT-SVIDs and WIT-SVIDs share.
func newClaims(id Identity, issuedAt, expiry time.Time) jwt.Claims {
	return jwt.Claims{
		Subject:  id.ID.String(),
		IssuedAt: jwt.NewNumericDate(issuedAt),
		Expiry:   jwt.NewNumericDate(expiry),
	}
}

// IssueJWTSVID issues a JWT-SVID (JWT-SVID 3) as it stands in an answer. Its
// audience is an array, of one too, as a SPIRE server writes it.
func (a *Authority) IssueJWTSVID(id Identity, audience []string, issuedAt, expiry time.Time) (*workload.JWTSVID, error) {
	token, err := jwt.Signed(a.jwt.signer).Claims(newClaims(id, issuedAt, expiry)).
		Claims(map[string]any{"aud": audience}).Serialize()
	if err != nil {
		return nil, fmt.Errorf("signing a JWT-SVID for %s: %w", id.ID, err)
	}
	return &workload.JWTSVID{SpiffeId: id.ID.String(), Svid: token, Hint: id.Hint}, nil
}

// IssueWITSVID issues a WIT-SVID as it stands in an answer. It is bound to a new
// P-256 key, whatever the identity's key type: that one is the X.509-SVID's.
func (a *Authority) IssueWITSVID(id Identity, issuedAt, expiry time.Time) (*workload.WITSVID, error) {
	key, err := ECP256.Generate()
	if err != nil {
		return nil, fmt.Errorf("making a key for the WIT-SVID of %s: %w", id.ID, err)
	}
	bound := jose.JSONWebKey{Key: key, KeyID: rand.Text(), Algorithm: string(ES256)}
	private, err := bound.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encoding the key of the WIT-SVID of %s: %w", id.ID, err)
	}
	confirmation := map[string]any{"cnf": map[string]any{"jwk": bound.Public()}}
	token, err := jwt.Signed(a.wit.signer).Claims(newClaims(id, issuedAt, expiry)).Claims(confirmation).Serialize()
	if err != nil {
		return nil, fmt.Errorf("signing a WIT-SVID for %s: %w", id.ID, err)
	}
	return &workload.WITSVID{
		SpiffeId:   id.ID.String(),
		WitSvid:    token,
		WitSvidKey: string(private),
		Hint:       id.Hint,
	}, nil
}

// jwks returns the keys as a JWKS document, in the given order.
func jwks(keys []jose.JSONWebKey) ([]byte, error) {
	doc, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		return nil, fmt.Errorf("encoding a JWKS document: %w", err)
	}
	return doc, nil
}
