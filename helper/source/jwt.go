package source

import (
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// parseJWT checks an answer of FetchJWTSVID (Workload API 6.2.1) and returns
// the token that req selects. The other tokens are nobody's concern: they reach
// no file. If the selected token is prev's, prev itself is returned.
func parseJWT(resp *workload.JWTSVIDResponse, req snapshot.JWTRequest, prev *jwtsvid.SVID, now time.Time) (*jwtsvid.SVID, error) {
	entry, err := selectJWT(resp.GetSvids(), req)
	if err != nil {
		return nil, err
	}
	svid := prev
	if prev == nil || prev.Marshal() != entry.GetSvid() || prev.Hint != entry.GetHint() {
		if !compact(entry.GetSvid()) {
			return nil, reject(ReasonGarbage, "JWT-SVID: not a JWS in compact serialization")
		}
		if svid, err = jwtsvid.ParseInsecure(entry.GetSvid(), req.Audience()); err != nil {
			return nil, diagnoseToken(entry.GetSvid(), req.Audience(), now, err)
		}
		svid.Hint = entry.GetHint()
	}
	if err := checkJWT(svid, entry, req, now); err != nil {
		return nil, err
	}
	return svid, nil
}

// selectJWT picks the first entry that has the wanted hint and SPIFFE ID.
func selectJWT(entries []*workload.JWTSVID, req snapshot.JWTRequest) (*workload.JWTSVID, error) {
	distinct, err := distinctHints(entries)
	if err != nil {
		return nil, err
	}
	for _, e := range distinct {
		if req.Hint != "" && e.GetHint() != req.Hint {
			continue
		}
		if !req.ID.IsZero() && e.GetSpiffeId() != req.ID.String() {
			continue
		}
		return e, nil
	}
	if req.Hint != "" {
		return nil, reject(ReasonHint, "no JWT-SVID with hint %q among the %d of the answer", req.Hint, len(entries))
	}
	return nil, reject(ReasonIDMismatch, "no JWT-SVID of %s among the %d of the answer", req.ID, len(entries))
}

// checkJWT checks what go-spiffe leaves open. It allows no leeway at the end:
// whoever reads the file is as strict.
func checkJWT(svid *jwtsvid.SVID, entry *workload.JWTSVID, req snapshot.JWTRequest, now time.Time) error {
	id, err := spiffeid.FromString(entry.GetSpiffeId())
	switch {
	case err != nil:
		return reject(ReasonGarbage, "spiffe_id of a JWT-SVID: %w", err)
	case svid.ID.TrustDomain() != id.TrustDomain():
		return reject(ReasonForeignTrustDomain, "JWT-SVID of %s announced as %s: another trust domain's", svid.ID, id)
	case svid.ID != id:
		return reject(ReasonIDMismatch, "JWT-SVID of %s announced as %s", svid.ID, id)
	case !svid.Expiry.After(now):
		return reject(ReasonExpired, "JWT-SVID of %s expired at %s", svid.ID, svid.Expiry.Format(time.RFC3339))
	}
	for _, audience := range req.Audience() {
		if !slices.Contains(svid.Audience, audience) {
			return reject(ReasonAudience, "JWT-SVID of %s lacks the audience %q", svid.ID, audience)
		}
	}
	return nil
}

// tokenAlgorithms are those of JWT-SVID 2.1 and WIT-SVID.
var tokenAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512,
	jose.ES256, jose.ES384, jose.ES512,
	jose.PS256, jose.PS384, jose.PS512,
}

// compact reports whether a token looks like a JWS in compact serialization
// (RFC 7515 3.1). The parser drops white space, which has no place in a file
// that ends up in a header.
func compact(token string) bool {
	return strings.Count(token, ".") == 2 && !strings.ContainsFunc(token, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// diagnoseToken finds the reason why a token was refused with err, at the price
// of parsing once more. A JWT-SVID was asked for with an audience, a WIT-SVID
// without.
func diagnoseToken(token string, audience []string, now time.Time, err error) error {
	kind := "JWT-SVID"
	if audience == nil {
		kind = "WIT-SVID"
	}
	parsed, parseErr := jwt.ParseSigned(token, tokenAlgorithms)
	if parseErr != nil {
		return reject(ReasonGarbage, "%s: %w", kind, err)
	}
	var claims jwt.Claims
	if claimsErr := parsed.UnsafeClaimsWithoutVerification(&claims); claimsErr != nil {
		// What the parser says may quote the token.
		return reject(ReasonGarbage, "%s: its claims do not parse", kind)
	}
	switch {
	case claims.Expiry != nil && !claims.Expiry.Time().After(now):
		return reject(ReasonExpired, "%s expired at %s", kind, utc(claims.Expiry))
	case claims.NotBefore != nil && claims.NotBefore.Time().After(now):
		return reject(ReasonNotYetValid, "%s is valid from %s on; compare the clocks", kind, utc(claims.NotBefore))
	case claims.IssuedAt != nil && claims.IssuedAt.Time().After(now):
		return reject(ReasonNotYetValid, "%s was issued at %s, which is to come; compare the clocks", kind, utc(claims.IssuedAt))
	case audience != nil && !slices.ContainsFunc(audience, claims.Audience.Contains):
		return reject(ReasonAudience, "%s: %w", kind, err)
	}
	return reject(ReasonInvalidSVID, "%s: %w", kind, err)
}

func utc(d *jwt.NumericDate) string { return d.Time().UTC().Format(time.RFC3339) }
