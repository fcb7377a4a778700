package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// leeway is how far a clock may be behind the one that says from when on a token
// is valid, as validators have it. There is none for its end.
const leeway = time.Minute

// subject checks whose token it is.
func (c *checker) subject(m *material, p profile) {
	sub, has := m.token.claims["sub"]
	id, section, err := checkID(textOf(sub))
	switch {
	case !has || string(sub) == "null":
		m.item.problem(p.sub, "sub is missing: it has to be the SPIFFE ID")
	case err != nil && section == "SPIFFE-ID 2":
		m.item.problem(p.sub, "sub is %.200q, which is no SPIFFE ID: %v", textOf(sub), err)
	case err != nil:
		m.item.problem(section, "sub is %.200q, which is no SPIFFE ID: %v", textOf(sub), err)
	default:
		m.token.id, m.item.SPIFFEID = id, id.String()
		m.item.ok(p.sub, "sub is a SPIFFE ID")
		c.expectedID(m)
	}
}

// date returns a claim that is a date: zero without one.
func (t *token) date(name string) (at time.Time, ok bool) {
	raw, has := t.claims[name]
	if !has || string(raw) == "null" {
		return time.Time{}, true
	}
	var d jwt.NumericDate
	if json.Unmarshal(raw, &d) != nil {
		return time.Time{}, false
	}
	return d.Time(), true
}

func (c *checker) tokenTimes(m *material, p profile) {
	exp, okExp := m.token.date("exp")
	nbf, okNbf := m.token.date("nbf")
	iat, okIat := m.token.date("iat")
	switch {
	case !okExp:
		m.item.problem(p.exp, "exp is not a number of seconds since 1970")
	case exp.IsZero():
		m.item.problem(p.exp, "exp is missing")
	case exp.After(lastSecond):
		m.item.warn(p.exp, "exp is beyond the year 9999: it may be in milliseconds")
	default:
		c.times(m.item, p.exp, time.Time{}, exp)
	}
	switch {
	case !okNbf:
		m.item.problem(p.nbf, "nbf is not a number of seconds since 1970")
	case nbf.After(c.Now.Add(leeway)):
		m.item.problem(p.nbf, "nbf: valid from %s on; compare the clocks", stamp(nbf))
	}
	switch {
	case !okIat:
		m.item.problem("RFC 7519 4.1.6", "iat is not a number of seconds since 1970")
	case m.item.Kind == JWTSVID && iat.After(c.Now.Add(leeway)):
		m.item.problem("RFC 7519 4.1.6", "iat: issued at %s, in the future, which go-spiffe and SPIRE refuse; compare the clocks", stamp(iat))
	}
}

// audience checks the audience of a JWT-SVID.
func (c *checker) audience(m *material) {
	const section = "JWT-SVID 3.2"
	raw, has := m.token.claims["aud"]
	var aud jwt.Audience
	switch {
	case !has || string(raw) == "null":
		m.item.problem(section, "aud is missing")
		return
	case json.Unmarshal(raw, &aud) != nil:
		m.item.problem(section, "aud is neither a string nor an array of strings")
		return
	case len(aud) == 0:
		m.item.problem(section, "aud is empty")
		return
	}
	wanted := m.file.Want.Audience
	if c.Audience != "" {
		wanted = append([]string{c.Audience}, wanted...)
	}
	var lacks []string
	for _, w := range wanted {
		lacks = append(lacks, when(!slices.Contains(aud, w), fmt.Sprintf("aud is %.200q, without %.100q", []string(aud), w)))
	}
	m.item.rule(section, fmt.Sprintf("aud %.200q", []string(aud)), lacks...)
	if len(aud) > 1 {
		m.item.warn(section, "%d audiences: each of them can use it at the others", len(aud))
	}
}

// otherClaims shows what the token says besides.
func (c *checker) otherClaims(m *material, p profile) {
	var others []string
	for name, value := range m.token.claims {
		if !slices.Contains([]string{"sub", "aud", "exp", "cnf"}, name) {
			others = append(others, fmt.Sprintf("%.40s %.100s", name, value))
		}
	}
	if slices.Sort(others); len(others) > 0 {
		m.item.ok(p.claims, "other claims: %s", strings.Join(others, ", "))
	}
}
