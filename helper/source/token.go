package source

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// tokenAlgorithms are those of JWT-SVID 2.1 and WIT-SVID.
var tokenAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512,
	jose.ES256, jose.ES384, jose.ES512,
	jose.PS256, jose.PS384, jose.PS512,
}

// leeway is how far a clock may be behind the one that says from when on a token
// is valid. There is none for its end: the file's reader is as strict.
const leeway = time.Minute

// A parsedToken is what JWT-SVIDs and WIT-SVIDs have in common. Its signature is
// not verified.
//
// go-spiffe parses tokens too, and refuses those that were issued by a clock
// that is ahead of ours. The standards do not: only nbf limits from when on a
// token is valid.
type parsedToken struct {
	id     spiffeid.ID
	header jose.Header
	claims jwt.Claims
	expiry time.Time
	cnf    json.RawMessage // cnf.jwk, or nil
}

// parseToken parses a token and checks what holds for every kind of it. Of an
// error of a parser, which may quote the token, nothing is said.
func parseToken(kind, token, announced string, now time.Time) (*parsedToken, error) {
	id, err := parseID(announced)
	if err != nil {
		return nil, reject(ReasonGarbage, "spiffe_id of a %s: %w", kind, err)
	}
	if !compact(token) {
		return nil, reject(ReasonGarbage, "%s of %s: not a JWS in compact serialization", kind, id)
	}
	signed, err := jwt.ParseSigned(token, tokenAlgorithms)
	if err != nil {
		return nil, reject(ReasonGarbage, "%s of %s: not a JWS with a signature algorithm of the standard", kind, id)
	}
	p := &parsedToken{header: signed.Headers[0]}
	if _, critical := p.header.ExtraHeaders["crit"]; critical {
		return nil, reject(ReasonInvalidSVID, "%s of %s: its header has critical extensions, which we do not know (RFC 7515 4.1.11)", kind, id)
	}
	var bound struct {
		Confirmation struct {
			JWK json.RawMessage `json:"jwk"`
		} `json:"cnf"`
	}
	if err := signed.UnsafeClaimsWithoutVerification(&p.claims); err != nil {
		return nil, reject(ReasonGarbage, "%s of %s: its claims do not parse", kind, id)
	}
	_ = signed.UnsafeClaimsWithoutVerification(&bound) // other claims may be of any kind
	p.cnf = bound.Confirmation.JWK
	if p.id, err = spiffeid.FromString(p.claims.Subject); err != nil {
		return nil, reject(ReasonInvalidSVID, "%s of %s: its subject: %w", kind, id, err)
	}
	switch {
	case p.id.TrustDomain() != id.TrustDomain():
		return nil, reject(ReasonForeignTrustDomain, "%s of %s announced as %s: another trust domain's", kind, p.id, id)
	case p.id != id:
		return nil, reject(ReasonIDMismatch, "%s of %s announced as %s", kind, p.id, id)
	case p.claims.Expiry == nil:
		return nil, reject(ReasonInvalidSVID, "%s of %s: it has no exp", kind, id)
	case int64(*p.claims.Expiry) > lastSecond.Unix():
		return nil, reject(ReasonTime, "%s of %s: its exp, %d, is beyond the year 9999: it may be in milliseconds", kind, id, *p.claims.Expiry)
	case p.claims.NotBefore != nil && p.claims.NotBefore.Time().After(now.Add(leeway)):
		return nil, reject(ReasonNotYetValid, "%s of %s is valid from %d on, in seconds since 1970; compare the clocks", kind, id, *p.claims.NotBefore)
	}
	p.expiry = p.claims.Expiry.Time().UTC()
	return p, checkExpiry(kind, id, p.expiry, now)
}

// issued is when the token says that it was issued; zero if it does not say, or
// what cannot be. It limits nothing.
func (p *parsedToken) issued() time.Time {
	if iat := p.claims.IssuedAt; iat != nil && *iat > 0 && *iat < *p.claims.Expiry {
		return iat.Time().UTC()
	}
	return time.Time{}
}

func checkExpiry(kind string, id spiffeid.ID, expiry, now time.Time) error {
	if !expiry.After(now) {
		return reject(ReasonExpired, "%s of %s expired at %s", kind, id, expiry.Format(time.RFC3339))
	}
	return nil
}

// typ returns the token's type; without one, "".
func (p *parsedToken) typ() string {
	switch typ := p.header.ExtraHeaders[jose.HeaderType].(type) {
	case nil:
		return ""
	case string:
		return typ
	default:
		return "not a string"
	}
}

// compact reports whether a token looks like a JWS in compact serialization
// (RFC 7515 3.1). The parser drops white space, which has no place in a file
// that ends up in a header.
func compact(token string) bool {
	return strings.Count(token, ".") == 2 && !strings.ContainsFunc(token, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// boundKey parses the key that a WIT-SVID is bound to, cnf.jwk: a public key whose
// alg is one of the standard, and of the key's own type.
func (p *parsedToken) boundKey() (crypto.PublicKey, error) {
	var jwk jose.JSONWebKey
	if p.cnf == nil || jwk.UnmarshalJSON(p.cnf) != nil || !jwk.Valid() || !jwk.IsPublic() {
		return nil, reject(ReasonInvalidSVID, "WIT-SVID of %s: its cnf.jwk is not a public key", p.id)
	}
	if !slices.Contains(algorithmsOf(jwk.Key), jose.SignatureAlgorithm(jwk.Algorithm)) {
		return nil, reject(ReasonInvalidSVID, "WIT-SVID of %s: alg %.20q of its cnf.jwk is none for a key of that type", p.id, jwk.Algorithm)
	}
	return jwk.Key, nil
}

// algorithmsOf returns the algorithms that a public key can verify.
func algorithmsOf(key crypto.PublicKey) []jose.SignatureAlgorithm {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	case *ecdsa.PublicKey:
		return map[int][]jose.SignatureAlgorithm{256: {jose.ES256}, 384: {jose.ES384}, 521: {jose.ES512}}[k.Params().BitSize]
	}
	return nil // the standard has no EdDSA
}
