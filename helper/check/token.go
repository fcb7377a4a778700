package check

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// tokenAlgorithms are those of JWT-SVID 2.1 and WIT-SVID 2.3.
var tokenAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512,
	jose.ES256, jose.ES384, jose.ES512,
	jose.PS256, jose.PS384, jose.PS512,
}

// A profile is what tells one kind of token from the other: the sections of its
// standard, and what they ask for.
type profile struct {
	serialization, header, alg, kid, typ, claims, sub, exp, nbf, signature string

	types     []string // typ, if it is there; the first is what it should be
	needsType bool
	needsKID  bool
}

var profiles = map[Kind]profile{
	JWTSVID: {
		serialization: "JWT-SVID 5.1", header: "JWT-SVID 2", alg: "JWT-SVID 2.1", kid: "JWT-SVID 2.2", typ: "JWT-SVID 2.3",
		claims: "JWT-SVID 3", sub: "JWT-SVID 3.1", exp: "JWT-SVID 3.3", nbf: "RFC 7519 4.1.5", signature: "JWT-SVID 4",
		types: []string{"JWT", "JOSE"},
	},
	WITSVID: {
		serialization: "WIT-SVID 1", header: "WIT-SVID 2.4", alg: "WIT-SVID 2.3", kid: "WIT-SVID 2.1", typ: "WIT-SVID 2.2",
		claims: "WIT-SVID 3.8", sub: "WIT-SVID 3.1", exp: "WIT-SVID 3.4", nbf: "WIT-SVID 3.5", signature: "WIT-SVID 4",
		types: []string{"wit+jwt"}, needsType: true, needsKID: true,
	},
}

// A token is a JWT-SVID or a WIT-SVID.
type token struct {
	text   string
	header map[string]json.RawMessage
	signed *jwt.JSONWebToken // nil: it does not parse
	claims map[string]json.RawMessage
	id     spiffeid.ID
	kid    string
	bound  crypto.PublicKey // cnf.jwk of a WIT-SVID
}

// looksLikeToken reports whether text means to be a token: parts with dots
// between them, of which the first is JSON in base64.
func looksLikeToken(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Contains(text, ".")
}

// readToken checks a token by itself: all but its signature.
func (c *checker) readToken(m *material, text string) {
	t := &token{text: strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")}
	m.token = t
	headerText, _, _ := strings.Cut(t.text, ".")
	if raw, err := base64.RawURLEncoding.DecodeString(headerText); err == nil {
		_ = json.Unmarshal(raw, &t.header)
	}
	if m.item.Kind == "" {
		m.item.Kind = JWTSVID
		if textOf(t.header["typ"]) == "wit+jwt" {
			m.item.Kind = WITSVID
		}
	}
	p, known := profiles[m.item.Kind]
	if !known {
		m.item.Kind, p = JWTSVID, profiles[JWTSVID]
	}
	if !c.parseToken(m, p) {
		return
	}
	c.checkHeader(m, p)
	c.subject(m, p)
	c.tokenTimes(m, p)
	if m.item.Kind == JWTSVID {
		c.audience(m)
	} else {
		c.witClaims(m)
	}
	c.otherClaims(m, p)
}

// parseToken parses a token. What a parser says may quote it.
func (c *checker) parseToken(m *material, p profile) bool {
	t := m.token
	switch parts := strings.Count(t.text, ".") + 1; {
	case strings.ContainsFunc(t.text, func(r rune) bool { return !strings.ContainsRune(base64URL, r) }):
		m.item.problem(p.serialization, "a JWS in compact serialization has three parts of base64url with dots between them, and no white space: this has other characters")
		return false
	case parts == 5:
		m.item.problem(p.header, "five parts: it is encrypted, and only a JWS is allowed")
		return false
	case parts != 3:
		m.item.problem(p.serialization, "%d parts with dots between them: a JWS has three", parts)
		return false
	case t.header == nil:
		m.item.problem(p.serialization, "its header is not JSON in base64url")
		return false
	}
	alg := textOf(t.header["alg"])
	if !slices.Contains(tokenAlgorithms, jose.SignatureAlgorithm(alg)) {
		m.item.problem(p.alg, "alg is %q, which is none of the standard's: RS, ES or PS with 256, 384 or 512", alg)
		return false
	}
	m.item.ok(p.alg, "alg %s", alg)
	signed, err := jwt.ParseSigned(t.text, tokenAlgorithms)
	if err == nil {
		err = signed.UnsafeClaimsWithoutVerification(&t.claims)
	}
	if err != nil || t.claims == nil {
		m.item.problem(p.signature, "it does not parse: its claims are not a JSON object in base64url, or its header has a member that is malformed (RFC 7519 7.2)")
		return false
	}
	t.signed, m.item.Claims = signed, t.claims
	return true
}

// base64URL is what a compact serialization is made of.
const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

// textOf returns a JSON string, or what stands there instead.
func textOf(raw json.RawMessage) string {
	var s *string
	if json.Unmarshal(raw, &s) == nil && s != nil {
		return *s
	}
	return string(raw)
}

func (c *checker) checkHeader(m *material, p profile) {
	t := m.token
	typ, hasType := t.header["typ"]
	var wrong string
	switch {
	case !hasType && p.needsType:
		wrong = "typ is missing: it has to be " + p.types[0]
	case hasType && !slices.Contains(p.types, textOf(typ)):
		wrong = fmt.Sprintf("typ is %.100q, and has to be %s", textOf(typ), strings.Join(p.types, " or "))
	}
	m.item.rule(p.typ, "typ "+textOf(typ), wrong)

	kid, hasKID := t.header["kid"]
	t.kid = textOf(kid)
	if !hasKID || t.kid == "" {
		if t.kid = ""; p.needsKID {
			m.item.problem(p.kid, "kid is missing")
		} else {
			m.item.warn(p.kid, "no kid: the standard allows that, but go-spiffe and SPIRE refuse such a token")
		}
	} else {
		m.item.ok(p.kid, "kid %.100q", t.kid)
	}
	if _, critical := t.header["crit"]; critical {
		m.item.problem("RFC 7515 4.1.11", "its header has critical extensions, which validators do not know")
	}
	var others []string
	for name := range t.header {
		if !slices.Contains([]string{"alg", "kid", "typ", "crit"}, name) {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return
	}
	slices.Sort(others)
	text := fmt.Sprintf("its header has what the standard does not know: %.200q", others)
	if m.item.Kind == WITSVID {
		m.item.warn(p.header, "%s", text)
	} else {
		m.item.problem(p.header, "%s", text)
	}
}

// signature verifies a token with the authorities of its trust domain.
func (c *checker) signature(m *material, trusts []trust) {
	p, t := profiles[m.item.Kind], m.token
	where := ""
	for _, from := range trusts {
		keys := from.jwt
		if m.item.Kind == WITSVID {
			keys = from.wit
		}
		if keys == nil || !from.trustDomain.IsZero() && from.trustDomain != t.id.TrustDomain() {
			continue
		}
		where = from.path
		key, ok := keys[t.kid]
		if !ok || t.kid == "" {
			continue
		}
		var claims map[string]json.RawMessage
		if err := t.signed.Claims(key, &claims); err != nil {
			m.item.problem(p.signature, "the signature is not that of the authority %.100q in %s", t.kid, where)
		} else {
			m.item.ok(p.signature, "the signature is that of the authority %.100q in %s", t.kid, where)
		}
		return
	}
	switch {
	case where == "" && m.item.Kind == JWTSVID && c.Validate != nil: // the agent verifies it
	case where == "":
		m.item.warn(p.signature, "the signature is not verified: there is no bundle for it among the files; -bundle names one")
	case t.kid == "":
		m.item.problem(p.kid, "without a kid it cannot be told which authority of %s has signed it", where)
	default:
		m.item.problem(p.signature, "no authority in %s has the kid %.100q", where, t.kid)
	}
}

// ask asks an agent about a JWT-SVID.
func (c *checker) ask(m *material) {
	if c.Validate == nil {
		return
	}
	audience := c.Audience
	if audience == "" {
		var aud jwt.Audience
		if json.Unmarshal(m.token.claims["aud"], &aud) != nil || len(aud) == 0 {
			return // which is a problem already
		}
		audience = aud[0]
	}
	if err := c.Validate(m.token.text, audience); err != nil {
		m.item.problem("Workload API 6.2.3", "the agent does not accept it for the audience %.100q: %v", audience, err)
	} else {
		m.item.ok("Workload API 6.2.3", "the agent accepts it for the audience %.100q", audience)
	}
}
