package check

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// witClaims checks what a WIT-SVID alone has: the key that it is bound to, and no
// audience.
func (c *checker) witClaims(m *material) {
	t := m.token
	if _, has := t.claims["aud"]; has {
		m.item.problem("WIT-SVID 3.8", "it has an audience")
	}
	if iss := textOf(t.claims["iss"]); strings.HasPrefix(iss, "https://") {
		m.item.warn("WIT-SVID 3.7", "iss is %.200q: as OpenID Connect Discovery has it, it could be taken for an ID token", iss)
	}
	const section = "WIT-SVID 3.2"
	var cnf struct {
		JWK json.RawMessage `json:"jwk"`
	}
	raw, has := t.claims["cnf"]
	if !has {
		m.item.problem(section, "cnf is missing: a WIT-SVID is bound to a key")
		return
	}
	var jwk jose.JSONWebKey
	switch {
	case json.Unmarshal(raw, &cnf) != nil || cnf.JWK == nil:
		m.item.problem(section, "cnf has no jwk")
	case jwk.UnmarshalJSON(cnf.JWK) != nil || !jwk.Valid():
		m.item.problem(section, "cnf.jwk does not parse")
	case !jwk.IsPublic():
		m.item.problem(section, "cnf.jwk is not a public key: what holds this token holds the secret")
	case !slices.Contains(algorithmsOf(jwk.Key), jose.SignatureAlgorithm(jwk.Algorithm)):
		m.item.problem(section, "alg of cnf.jwk is %.20q, which is none for %s", jwk.Algorithm, publicKey(jwk.Key))
	default:
		t.bound = jwk.Key
		m.item.ok(section, "bound to a key, %s, alg %s", publicKey(jwk.Key), jwk.Algorithm)
	}
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
