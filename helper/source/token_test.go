package source

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

func jwtRequest(hint string, audience ...string) snapshot.JWTRequest {
	return snapshot.NewJWTRequest(audience, spiffeid.ID{}, hint)
}

func issueJWT(t testing.TB, a *devapi.Authority, id devapi.Identity, from, to time.Time, audience ...string) *workload.JWTSVID {
	t.Helper()
	svid, err := a.IssueJWTSVID(id, audience, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return svid
}

func TestJWTRefusedWithReason(t *testing.T) {
	a, now := newAuthority(t, "example.org"), time.Now()
	id := devapi.Identity{ID: testID}
	issue := func(from, to time.Duration, audience ...string) *workload.JWTSVID {
		return issueJWT(t, a, id, now.Add(from), now.Add(to), audience...)
	}
	edit := func(f func(*workload.JWTSVID)) *workload.JWTSVID {
		s := issue(0, time.Hour, "a")
		f(s)
		return s
	}
	hinted := func(hint string) *workload.JWTSVID { return edit(func(s *workload.JWTSVID) { s.Hint = hint }) }
	for name, tt := range map[string]struct {
		req  snapshot.JWTRequest
		svid *workload.JWTSVID
		want Reason
	}{
		"none":                     {jwtRequest("", "a"), nil, ReasonNoSVIDs},
		"garbage":                  {jwtRequest("", "a"), edit(func(s *workload.JWTSVID) { s.Svid = "gar.ba.ge" }), ReasonGarbage},
		"empty":                    {jwtRequest("", "a"), edit(func(s *workload.JWTSVID) { s.Svid = "" }), ReasonGarbage},
		"expired":                  {jwtRequest("", "a"), issue(-time.Hour, -2*time.Minute, "a"), ReasonExpired},
		"expired within leeway":    {jwtRequest("", "a"), issue(-time.Hour, -2*time.Second, "a"), ReasonExpired},
		"another audience":         {jwtRequest("", "a"), issue(0, time.Hour, "b"), ReasonAudience},
		"one audience of two":      {jwtRequest("", "a", "b"), issue(0, time.Hour, "a"), ReasonAudience},
		"another SPIFFE ID":        {jwtRequest("", "a"), edit(func(s *workload.JWTSVID) { s.SpiffeId += "/x" }), ReasonIDMismatch},
		"another trust domain":     {jwtRequest("", "a"), edit(func(s *workload.JWTSVID) { s.SpiffeId = "spiffe://evil.test/web" }), ReasonForeignTrustDomain},
		"no SPIFFE ID":             {jwtRequest("", "a"), edit(func(s *workload.JWTSVID) { s.SpiffeId = "" }), ReasonGarbage},
		"wanted hint is missing":   {jwtRequest("wanted", "a"), hinted("other"), ReasonAbsent},
		"hint of 1025 bytes":       {jwtRequest("", "a"), hinted(strings.Repeat("h", 1025)), ReasonHint},
		"not the wanted SPIFFE ID": {snapshot.NewJWTRequest([]string{"a"}, spiffeid.RequireFromString("spiffe://example.org/db"), ""), issue(0, time.Hour, "a"), ReasonAbsent},
		"another, hint unreadable": {jwtRequest("wanted", "a"), hinted(strings.Repeat("h", 1025)), ReasonHint},
		"another, ID unreadable":   {snapshot.NewJWTRequest([]string{"a"}, testID, ""), edit(func(s *workload.JWTSVID) { s.SpiffeId = "x" }), ReasonGarbage},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &workload.JWTSVIDResponse{}
			if tt.svid != nil {
				resp.Svids = append(resp.Svids, tt.svid)
			}
			svid, err := parseJWT(resp, tt.req, nil, time.Now())
			wantReason(t, err, tt.want)
			if svid != nil {
				t.Error("a refused token was returned")
			}
			if tt.svid != nil && tt.svid.Svid != "" && err != nil && strings.Contains(err.Error(), tt.svid.Svid) {
				t.Error("the error quotes the token")
			}
		})
	}
}

func TestJWTSelection(t *testing.T) {
	a, now := newAuthority(t, "example.org"), time.Now()
	id := func(path, hint string) *workload.JWTSVID {
		return issueJWT(t, a, devapi.Identity{ID: spiffeid.RequireFromPath(testTD, path), Hint: hint}, now, now.Add(time.Hour), "a")
	}
	garbage := &workload.JWTSVID{SpiffeId: "spiffe://example.org/x", Svid: "x", Hint: "broken"}
	resp := &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{
		id("/hinted", "internal"), garbage, id("/plain", ""), id("/second", "internal"), id("/external", "external"),
	}}
	for name, tt := range map[string]struct {
		req  snapshot.JWTRequest
		want string
	}{
		"nothing asked: the first":   {jwtRequest("", "a"), "/hinted"},
		"hint: the first that has":   {jwtRequest("internal", "a"), "/hinted"},
		"hint, not the first":        {jwtRequest("external", "a"), "/external"},
		"SPIFFE ID among hinted":     {snapshot.NewJWTRequest([]string{"a"}, spiffeid.RequireFromString("spiffe://example.org/plain"), ""), "/plain"},
		"SPIFFE ID and hint, agreed": {snapshot.NewJWTRequest([]string{"a"}, spiffeid.RequireFromString("spiffe://example.org/external"), "external"), "/external"},
	} {
		t.Run(name, func(t *testing.T) {
			svid, err := parseJWT(resp, tt.req, nil, now)
			if err != nil {
				t.Fatal(err)
			}
			if svid.ID.Path() != tt.want {
				t.Errorf("got %s, want %s", svid.ID.Path(), tt.want)
			}
			again, err := parseJWT(clone(resp), tt.req, svid, now)
			if err != nil || again != svid {
				t.Errorf("the same token again: %p, %v; want %p itself", again, err, svid)
			}
		})
	}
}

func issueWIT(t testing.TB, a *devapi.Authority, id devapi.Identity, from, to time.Time) *workload.WITSVID {
	t.Helper()
	svid, err := a.IssueWITSVID(id, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return svid
}

func TestWITRefusedWithReason(t *testing.T) {
	a, now := newAuthority(t, "example.org"), time.Now()
	id := devapi.Identity{ID: testID}
	good, other := issueWIT(t, a, id, now, now.Add(time.Hour)), issueWIT(t, a, id, now, now.Add(time.Hour))
	jwt := issueJWT(t, a, id, now, now.Add(time.Hour), "a")
	edit := func(f func(*workload.WITSVID)) *workload.WITSVID {
		s := clone(good)
		f(s)
		return s
	}
	for name, tt := range map[string]struct {
		svid *workload.WITSVID
		want Reason
	}{
		"none":                  {nil, ReasonNoSVIDs},
		"garbage token":         {edit(func(s *workload.WITSVID) { s.WitSvid = "gar.ba.ge" }), ReasonGarbage},
		"a JWT-SVID":            {edit(func(s *workload.WITSVID) { s.WitSvid = jwt.Svid }), ReasonInvalidSVID},
		"no key":                {edit(func(s *workload.WITSVID) { s.WitSvidKey = "" }), ReasonGarbage},
		"garbage key":           {edit(func(s *workload.WITSVID) { s.WitSvidKey = "{" }), ReasonGarbage},
		"symmetric key":         {edit(func(s *workload.WITSVID) { s.WitSvidKey = `{"kty":"oct","k":"AAAA"}` }), ReasonGarbage},
		"public key":            {edit(func(s *workload.WITSVID) { s.WitSvidKey = publicHalf(t, s.WitSvidKey) }), ReasonGarbage},
		"another token's key":   {edit(func(s *workload.WITSVID) { s.WitSvidKey = other.WitSvidKey }), ReasonKeyMismatch},
		"halves of two keys":    {edit(func(s *workload.WITSVID) { s.WitSvidKey = chimera(t, s.WitSvidKey, other.WitSvidKey) }), ReasonGarbage},
		"expired":               {issueWIT(t, a, id, now.Add(-time.Hour), now.Add(-2*time.Minute)), ReasonExpired},
		"expired within leeway": {issueWIT(t, a, id, now.Add(-time.Hour), now.Add(-2*time.Second)), ReasonExpired},
		"another SPIFFE ID":     {edit(func(s *workload.WITSVID) { s.SpiffeId += "/x" }), ReasonIDMismatch},
		"another trust domain":  {edit(func(s *workload.WITSVID) { s.SpiffeId = "spiffe://evil.test/web" }), ReasonForeignTrustDomain},
		"hint of 1025 bytes":    {edit(func(s *workload.WITSVID) { s.Hint = strings.Repeat("h", 1025) }), ReasonHint},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &workload.WITSVIDResponse{}
			if tt.svid != nil {
				resp.Svids = append(resp.Svids, tt.svid)
			}
			_, err := parseWIT(t.Context(), resp, nil, time.Now())
			wantReason(t, err, tt.want)
		})
	}

	part, err := parseWIT(t.Context(), &workload.WITSVIDResponse{Svids: []*workload.WITSVID{clone(good)}}, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	if part.out.SVIDs[0].PrivateKey == nil {
		t.Error("no private key")
	}
	same, err := parseWIT(t.Context(), &workload.WITSVIDResponse{Svids: []*workload.WITSVID{clone(good)}}, part, now)
	if err != nil || same != part {
		t.Errorf("the same answer again: %p, %v; want %p itself", same, err, part)
	}
	_, err = parseWIT(t.Context(), &workload.WITSVIDResponse{Svids: []*workload.WITSVID{clone(good)}}, part, now.Add(2*time.Hour))
	wantReason(t, err, ReasonExpired)
}

func publicHalf(t *testing.T, private string) string {
	t.Helper()
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON([]byte(private)); err != nil {
		t.Fatal(err)
	}
	public := k.Public()
	return string(must(public.MarshalJSON()))
}

// chimera returns a JWK with the public half of one key and the private half of
// another.
func chimera(t *testing.T, public, private string) string {
	t.Helper()
	member := func(jwk string) string { return between(jwk, `"d":"`, `"`) }
	if member(public) == "" || member(private) == "" {
		t.Fatal("no private half")
	}
	return strings.Replace(public, member(public), member(private), 1)
}

func between(s, begin, end string) string {
	_, s, _ = strings.Cut(s, begin)
	s, _, _ = strings.Cut(s, end)
	return s
}

func TestBundlesRefusedWithReason(t *testing.T) {
	a := newAuthority(t, "example.org")
	api, err := devapi.New(devapi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	good := must(must(api.JWTBundles().GetJWTBundleForTrustDomain(testTD)).Marshal())
	private := issueWIT(t, a, devapi.Identity{ID: testID}, time.Now(), time.Now().Add(time.Hour)).WitSvidKey
	withKID := func(jwk string) string { return strings.Replace(jwk, "{", `{"kid":"k",`, 1) }
	for name, tt := range map[string]struct {
		bundles map[string][]byte
		want    Reason // empty: good
	}{
		"good":            {map[string][]byte{"spiffe://example.org": good}, ""},
		"no keys at all":  {map[string][]byte{"spiffe://example.org": []byte(`{"keys":[]}`)}, ""},
		"none":            {nil, ReasonNoBundle},
		"no trust domain": {map[string][]byte{"": good}, ReasonGarbage},
		"one twice":       {map[string][]byte{"spiffe://example.org": good, "example.org": good}, ""},
		"empty":           {map[string][]byte{"spiffe://example.org": {}}, ReasonNoBundle},
		"garbage":         {map[string][]byte{"spiffe://example.org": []byte("garbage")}, ReasonGarbage},
		"no JWKS":         {map[string][]byte{"spiffe://example.org": []byte("{}")}, ReasonGarbage},
		"null":            {map[string][]byte{"spiffe://example.org": []byte("null")}, ReasonGarbage},
		"private key":     {map[string][]byte{"spiffe://example.org": []byte(`{"keys":[` + withKID(private) + `]}`)}, ReasonGarbage},
		"symmetric key":   {map[string][]byte{"spiffe://example.org": []byte(`{"keys":[{"kty":"oct","kid":"k","k":"AAAA"}]}`)}, ReasonGarbage},
	} {
		t.Run(name, func(t *testing.T) {
			wit := make(map[string]string)
			for td, raw := range tt.bundles {
				wit[td] = string(raw)
			}
			part, jwtErr := parseJWTBundles(t.Context(), &workload.JWTBundlesResponse{Bundles: tt.bundles}, nil, time.Now())
			_, witErr := parseWITBundles(t.Context(), &workload.WITBundlesResponse{Bundles: wit}, nil, time.Now())
			if tt.want != "" {
				wantReason(t, jwtErr, tt.want)
				wantReason(t, witErr, tt.want)
				return
			}
			if jwtErr != nil || witErr != nil {
				t.Fatal(jwtErr, witErr)
			}
			again := map[string][]byte{"spiffe://example.org": bytes.Clone(tt.bundles["spiffe://example.org"])}
			if same, err := parseJWTBundles(t.Context(), &workload.JWTBundlesResponse{Bundles: again}, part, time.Now()); err != nil || same != part {
				t.Errorf("the same answer again: %p, %v; want %p itself", same, err, part)
			}
		})
	}
}

// Keys of an unknown type, or for another use, are ignored; the others count.
func TestBundleWithKeysThatAreNotForUs(t *testing.T) {
	api, err := devapi.New(devapi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	jwt := must(must(api.JWTBundles().GetJWTBundleForTrustDomain(testTD)).Marshal())
	wit := must(must(api.WITBundles().GetWITBundleForTrustDomain(testTD)).Marshal())
	foreign := []string{
		`{"kty":"LATTICE","kid":"new","use":"jwt-svid","pub":"AAAA"}`,
		`{"kty":"EC","crv":"secp256k1","kid":"coin","x":"AAAA","y":"AAAA"}`,
		`{"kty":"OKP","crv":"X25519","kid":"exchange","x":"AAAA"}`,
		`{"kty":"EC","crv":"P-256","use":"x509-svid","x":"AAAA","y":"AAAA","x5c":["AAAA"]}`, // has no kid
		`{"kty":"RSA","use":"enc","kid":"secret","n":"AAAA","e":"AQAB"}`,
		`{"kty":"RSA","use":"some-svid","kid":"later","n":"AAAA","e":"AQAB"}`,
	}
	among := func(jwks []byte, foreign ...string) []byte {
		own := strings.TrimSuffix(strings.TrimSpace(string(jwks)), "]}")
		return []byte(own + "," + strings.Join(foreign, ",") + "]}")
	}
	answer := func(doc []byte) (map[string][]byte, map[string]string) {
		return map[string][]byte{"spiffe://example.org": doc}, map[string]string{"spiffe://example.org": string(doc)}
	}
	for _, set := range append([][]string{foreign}, foreign[:1], foreign[1:2], foreign[2:3], foreign[3:4], foreign[4:5], foreign[5:]) {
		jwts, _ := answer(among(jwt, set...))
		part, err := parseJWTBundles(t.Context(), &workload.JWTBundlesResponse{Bundles: jwts}, nil, time.Now())
		if err != nil {
			t.Errorf("%s: %v", set, err)
		} else if n := len(part.out.Bundles[0].JWTAuthorities()); n != 1 {
			t.Errorf("%s: %d JWT authorities, want 1", set, n)
		}
		_, wits := answer(among(wit, set...))
		witPart, err := parseWITBundles(t.Context(), &workload.WITBundlesResponse{Bundles: wits}, nil, time.Now())
		if err != nil {
			t.Errorf("%s: %v", set, err)
		} else if n := len(witPart.out.Bundles[0].WITAuthorities()); n != 1 {
			t.Errorf("%s: %d WIT authorities, want 1", set, n)
		}
	}
}

// One bad bundle among several is refused alone, and the last good one of its
// trust domain stays.
func TestBundleRefusedAlone(t *testing.T) {
	now := time.Now()
	good := []byte(`{"keys":[]}`)
	answer := func(a, b []byte) *workload.JWTBundlesResponse {
		return &workload.JWTBundlesResponse{Bundles: map[string][]byte{"spiffe://a.test": a, "spiffe://b.test": b}}
	}
	before, err := parseJWTBundles(t.Context(), answer(good, good), nil, now)
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseJWTBundles(t.Context(), answer([]byte(`{"keys":[] }`), []byte("garbage")), before, now)
	wantReason(t, err, ReasonGarbage)
	if len(after.out.Bundles) != 2 || after.out.Bundles[0] == before.out.Bundles[0] || after.out.Bundles[1] != before.out.Bundles[1] {
		t.Errorf("%v after %v: want the first anew, the second as it was", after.out.Bundles, before.out.Bundles)
	}
	first, err := parseJWTBundles(t.Context(), answer(good, []byte("garbage")), nil, now)
	wantReason(t, err, ReasonGarbage)
	if len(first.out.Bundles) != 1 || first.out.Bundles[0].TrustDomain().Name() != "a.test" {
		t.Errorf("%v: want the good one alone", first.out.Bundles)
	}
	gone, err := parseJWTBundles(t.Context(), answer(good, nil), after, now)
	if err != nil || len(gone.out.Bundles) != 1 {
		t.Errorf("%v, %v: an empty bundle is none", gone, err)
	}
}

func TestX509BundlesAreKeptOneByOne(t *testing.T) {
	a, b := newAuthority(t, "a.test").X509Authority().Raw, newAuthority(t, "b.test").X509Authority().Raw
	answer := func(b []byte) *workload.X509BundlesResponse {
		return &workload.X509BundlesResponse{Bundles: map[string][]byte{"spiffe://a.test": bytes.Clone(a), "spiffe://b.test": bytes.Clone(b)}}
	}
	first, err := parseX509Bundles(t.Context(), answer(b), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if same, err := parseX509Bundles(t.Context(), answer(b), first, time.Now()); err != nil || same != first {
		t.Errorf("the same answer again: %p, %v; want %p itself", same, err, first)
	}
	second, err := parseX509Bundles(t.Context(), answer(newAuthority(t, "b.test").X509Authority().Raw), first, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if second.out.Bundles[0] != first.out.Bundles[0] || second.out.Bundles[1] == first.out.Bundles[1] {
		t.Error("of two bundles exactly the second is new")
	}
	_, err = parseX509Bundles(t.Context(), &workload.X509BundlesResponse{}, first, time.Now())
	wantReason(t, err, ReasonNoBundle)
	_, err = parseX509Bundles(t.Context(), &workload.X509BundlesResponse{Bundles: map[string][]byte{"spiffe://a.test": nil}}, first, time.Now())
	wantReason(t, err, ReasonNoBundle)
}
