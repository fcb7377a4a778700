package source

import (
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

const jwtSVID = "JWT-SVID"

// parseJWT checks an answer of FetchJWTSVID (Workload API 6.2.1) and returns
// the token that req selects. The other tokens do not matter: they reach no file.
// If the selected token is prev's, prev itself is returned.
func parseJWT(resp *workload.JWTSVIDResponse, req snapshot.JWTRequest, prev *snapshot.JWTSVID, now time.Time) (*snapshot.JWTSVID, error) {
	entry, err := selectJWT(resp.GetSvids(), req)
	if err != nil {
		return nil, err
	}
	if prev != nil && prev.Token == entry.GetSvid() && prev.Hint == entry.GetHint() && prev.ID.String() == entry.GetSpiffeId() {
		return prev, checkExpiry(jwtSVID, prev.ID, prev.Expiry, now)
	}
	token, err := parseToken(jwtSVID, entry.GetSvid(), entry.GetSpiffeId(), now)
	if err != nil {
		return nil, err
	}
	if typ := token.typ(); typ != "" && typ != "JWT" && typ != "JOSE" {
		return nil, reject(ReasonInvalidSVID, "JWT-SVID of %s: its type is %.20q, not JWT or JOSE", token.id, typ)
	}
	for _, audience := range req.Audience() {
		if !slices.Contains(token.claims.Audience, audience) {
			return nil, reject(ReasonAudience, "JWT-SVID of %s lacks the audience %.100q", token.id, audience)
		}
	}
	return &snapshot.JWTSVID{
		ID: token.id, Hint: entry.GetHint(), Audience: token.claims.Audience,
		Issued: token.issued(), Expiry: token.expiry, TokenID: token.claims.ID, Token: entry.GetSvid(),
	}, nil
}

// selectJWT picks the first entry that has the wanted hint and SPIFFE ID. If
// there is none, but one that could be, the answer is bad; otherwise the
// identity is withdrawn.
func selectJWT(entries []*workload.JWTSVID, req snapshot.JWTRequest) (*workload.JWTSVID, error) {
	if len(entries) == 0 {
		return nil, reject(ReasonNoSVIDs, "no JWT-SVID in the answer")
	}
	var unclear error
	hints := make(map[string]bool)
	for i, e := range entries {
		hint := e.GetHint()
		_, err := parseID(e.GetSpiffeId())
		switch {
		case i == maxSVIDs:
			return nil, reject(ReasonTooMany, "more than %d JWT-SVIDs in the answer", maxSVIDs)
		case len(hint) > maxHint:
			unclear = reject(ReasonHint, "JWT-SVID %d of the answer: hint of %d bytes, the most is %d", i, len(hint), maxHint)
			if req.Hint == "" && (req.ID.IsZero() || e.GetSpiffeId() == req.ID.String()) {
				return nil, unclear // it is the one, and no other instead
			}
			continue
		case hint != "" && hints[hint]:
			continue
		}
		hints[hint] = true
		switch {
		case req.Hint != "" && hint != req.Hint:
		case req.ID.IsZero() || e.GetSpiffeId() == req.ID.String():
			return e, nil
		case err != nil:
			unclear = reject(ReasonGarbage, "spiffe_id of JWT-SVID %d of the answer: %w", i, err)
		}
	}
	if unclear != nil {
		return nil, unclear
	}
	what := ""
	if !req.ID.IsZero() {
		what += " of " + req.ID.String()
	}
	if req.Hint != "" {
		what += " with hint " + req.Hint
	}
	return nil, reject(ReasonAbsent, "no JWT-SVID%s among the %d of the answer", what, len(entries))
}
