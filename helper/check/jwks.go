package check

import (
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// maxKeys is how many keys of one document are looked at.
const maxKeys = 4096

// minRSA is the shortest RSA key that may verify tokens, in bits (RFC 7518 3.3).
const minRSA = 2048

// A Key is what a key of a JWKS says.
type Key struct {
	KeyID     string `json:"kid,omitempty"`
	Use       string `json:"use,omitempty"`
	PublicKey string `json:"public_key"`
	SHA256    string `json:"sha256"` // thumbprint, base64url (RFC 7638)
}

// The values of use in a SPIFFE bundle (X509-SVID 6.1, JWT-SVID 6.1, WIT-SVID 6.1).
const (
	useX509 = "x509-svid"
	useJWT  = "jwt-svid"
	useWIT  = "wit-svid"
)

// A document is a JWK Set, which a SPIFFE bundle is too (SPIFFE Trust Domain and
// Bundle 4.1).
type document struct {
	Keys        []json.RawMessage `json:"keys"`
	Sequence    json.RawMessage   `json:"spiffe_sequence"`
	RefreshHint json.RawMessage   `json:"spiffe_refresh_hint"`
}

const bundleStandard = "Trust Domain and Bundle "

// jwks reads a JWK Set: a SPIFFE bundle, if one of its keys says what in SPIFFE it
// is for, or it has a member that only a SPIFFE bundle has.
func (c *checker) jwks(m *material, text []byte) {
	m.item.Kind = JWKS
	var d document
	if !d.parse(m.item, text) {
		return
	}
	if d.isSPIFFE() {
		m.item.Kind = SPIFFEBundle
	}
	c.document(m, &d, "", spiffeid.TrustDomain{})
}

// parse reads a document. It has said so if it is none.
func (d *document) parse(i *Item, text []byte) bool {
	switch err := json.Unmarshal(text, d); {
	case err != nil || d.Keys == nil:
		i.problem(bundleStandard+"4.1.3", "keys has to be an array")
	case len(d.Keys) > maxKeys:
		i.problem("", "%d keys: %d is the most", len(d.Keys), maxKeys)
	default:
		return true
	}
	return false
}

func (d *document) isSPIFFE() bool {
	return d.Sequence != nil || d.RefreshHint != nil || slices.ContainsFunc(d.Keys, func(k json.RawMessage) bool {
		var named struct{ Use string }
		return json.Unmarshal(k, &named) == nil && slices.Contains([]string{useX509, useJWT, useWIT}, named.Use)
	})
}

// A keySet collects the keys of one document.
type keySet struct {
	item   *Item
	prefix string // of each finding: the trust domain, if there are several
	spiffe bool
	trust  trust
	kids   map[string]bool
	broken int
}

// document checks a document, and makes it a trust.
func (c *checker) document(m *material, d *document, prefix string, td spiffeid.TrustDomain) {
	s := &keySet{item: m.item, prefix: prefix, spiffe: d.isSPIFFE(), kids: map[string]bool{},
		trust: trust{path: m.file.Path, trustDomain: td, jwt: map[string]crypto.PublicKey{}, wit: map[string]crypto.PublicKey{}}}
	if s.spiffe {
		s.integer(d.Sequence, "4.1.1", "spiffe_sequence")
		s.integer(d.RefreshHint, "4.1.2", "spiffe_refresh_hint")
	}
	for n, raw := range d.Keys {
		s.key(n, raw)
	}
	if len(s.trust.x509) > 0 {
		c.signing(m.item, s.trust.x509, prefix+"authority")
	}
	switch {
	case len(d.Keys) == 0:
		m.item.warn(bundleStandard+"4.1.3", "%sno keys: the trust domain has withdrawn all of them, and none of its SVIDs is to be trusted", prefix)
	case s.broken == 0 && !s.spiffe:
		m.item.ok("RFC 7517 5", "%skeys: %d for tokens", prefix, len(s.trust.jwt))
	case s.broken == 0:
		m.item.ok(bundleStandard+"4.2", "%skeys: %d for X.509-SVIDs, %d for JWT-SVIDs, %d for WIT-SVIDs", prefix, len(s.trust.x509), len(s.trust.jwt), len(s.trust.wit))
	}
	m.trust = append(m.trust, s.trust.ofKeys(len(d.Keys)))
}

// ofKeys is a trust of a document with that many keys. One that has keys of other
// kinds alone says nothing of a kind of token; one that has none at all does: none
// is to be trusted.
func (t trust) ofKeys(n int) trust {
	if n > 0 && len(t.jwt) == 0 {
		t.jwt = nil
	}
	if n > 0 && len(t.wit) == 0 {
		t.wit = nil
	}
	return t
}

func (s *keySet) integer(raw json.RawMessage, section, name string) {
	var n int64
	if raw != nil && json.Unmarshal(raw, &n) != nil {
		s.item.problem(bundleStandard+section, "%s%s has to be an integer", s.prefix, name)
	}
}

// key checks one key.
func (s *keySet) key(n int, raw json.RawMessage) {
	var named struct {
		Kty, Use, Kid *string
		D, K          json.RawMessage
		X5c           []json.RawMessage
	}
	say := func(level Level, section, format string, args ...any) {
		if level == Problem {
			s.broken++
		}
		if s.broken <= maxListed {
			s.item.add(level, section, "%skey %d: %s", s.prefix, n+1, fmt.Sprintf(format, args...))
		}
	}
	if json.Unmarshal(raw, &named) != nil {
		say(Problem, "RFC 7517 4", "it does not parse")
		return
	}
	use := text(named.Use)
	switch {
	case named.Kty == nil:
		say(Problem, bundleStandard+"4.2.1", "kty is missing")
		return
	case s.spiffe && named.Use == nil:
		say(Problem, bundleStandard+"4.2.2", "use is missing: the key counts for nothing")
		return
	case s.spiffe && !slices.Contains([]string{useX509, useJWT, useWIT}, use):
		say(Warning, bundleStandard+"4.2.2", "use is %.40q, which is unknown: the key counts for nothing", use)
		return
	case !s.spiffe && use != "" && use != "sig":
		say(Warning, "RFC 7517 4.2", "use is %.40q: the key verifies no token", use)
		return
	case !slices.Contains([]string{"RSA", "EC", "OKP", "oct"}, *named.Kty):
		say(Warning, bundleStandard+"4.2.1", "kty is %.40q, which is unknown: the key counts for nothing", *named.Kty)
		return
	case named.D != nil || named.K != nil:
		say(Problem, "RFC 7517 9.2", "it is private or symmetric: the secret is out")
		return
	}
	var jwk jose.JSONWebKey
	if use == useX509 && len(named.X5c) != 1 {
		say(Problem, "X509-SVID 6.1", "x5c has %d certificates, and has to have one", len(named.X5c))
		return
	}
	if jwk.UnmarshalJSON(raw) != nil || !jwk.Valid() || !jwk.IsPublic() {
		say(Problem, "RFC 7517 4", "it does not parse, or its certificate is another key's")
		return
	}
	if len(s.item.Keys) < maxListed*maxListed {
		s.item.Keys = append(s.item.Keys, describeKey(&jwk))
	}
	if use == useX509 {
		if named.Kid != nil {
			say(Problem, "X509-SVID 6.1", "it has a kid, and an X.509 authority has none")
		}
		s.trust.x509 = append(s.trust.x509, jwk.Certificates[:1]...)
		return
	}
	s.tokenKey(&jwk, use, say)
}

// tokenKey checks a key that verifies tokens.
func (s *keySet) tokenKey(jwk *jose.JSONWebKey, use string, say func(Level, string, string, ...any)) {
	section := "JWT-SVID 6.1"
	if use == useWIT {
		section = "WIT-SVID 6.1"
	}
	rsaKey, isRSA := jwk.Key.(*rsa.PublicKey)
	switch {
	case jwk.KeyID == "":
		say(Problem, section, "kid is missing")
		return
	case s.kids[jwk.KeyID]:
		say(Problem, section, "its kid, %.100q, is that of another key", jwk.KeyID)
		return
	case isRSA && (rsaKey.N.BitLen() < minRSA || rsaKey.N.BitLen() > maxRSA):
		say(Problem, "RFC 7518 3.3", "RSA of %d bits, and not of %d to %d", rsaKey.N.BitLen(), minRSA, maxRSA)
		return
	case len(algorithmsOf(jwk.Key)) == 0:
		say(Warning, section, "%s: no algorithm of the standard verifies with it", publicKey(jwk.Key))
	}
	s.kids[jwk.KeyID] = true
	if use != useWIT {
		s.trust.jwt[jwk.KeyID] = jwk.Key
	}
	if use != useJWT {
		s.trust.wit[jwk.KeyID] = jwk.Key
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func describeKey(jwk *jose.JSONWebKey) Key {
	k := Key{KeyID: jwk.KeyID, Use: jwk.Use, PublicKey: publicKey(jwk.Key)}
	if sum, err := jwk.Thumbprint(crypto.SHA256); err == nil {
		k.SHA256 = base64.RawURLEncoding.EncodeToString(sum)
	}
	return k
}
