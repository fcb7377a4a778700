package source

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
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

// The default token is never another one because the first is bad.
func TestABadDefaultTokenIsNotReplaced(t *testing.T) {
	a, now := newAuthority(t, "example.org"), time.Now()
	issue := func(path string) *workload.JWTSVID {
		return issueJWT(t, a, devapi.Identity{ID: spiffeid.RequireFromPath(testTD, path)}, now, now.Add(time.Hour), "a")
	}
	for name, spoil := range map[string]func(*workload.JWTSVID){
		"token":  func(s *workload.JWTSVID) { s.Svid = "gar.ba.ge" },
		"hint":   func(s *workload.JWTSVID) { s.Hint = strings.Repeat("h", maxHint+1) },
		"ID":     func(s *workload.JWTSVID) { s.SpiffeId = "x" },
		"no ID":  func(s *workload.JWTSVID) { s.SpiffeId = "" },
		"others": func(s *workload.JWTSVID) { s.SpiffeId = "spiffe://example.org/z" },
	} {
		first := issue("/a")
		spoil(first)
		if svid, err := parseJWT(&workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{first, issue("/b")}}, jwtRequest("", "a"), nil, now); err == nil {
			t.Errorf("%s: %s is the default", name, svid.ID)
		}
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

// Of a JWKS each key counts by itself (RFC 7517 5); a secret in it refuses the set.
func TestKeysOfAJWKS(t *testing.T) {
	good := func(kid string) string {
		jwk := jose.JSONWebKey{Key: ec(elliptic.P256()).Public(), KeyID: kid}
		return string(must(jwk.MarshalJSON()))
	}
	rsaKey := func(bits, e int) string {
		n := new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), uint(bits-1)), 0, 1)
		return fmt.Sprintf(`{"kty":"RSA","kid":"rsa","n":%q,"e":%q}`,
			base64.RawURLEncoding.EncodeToString(n.Bytes()), base64.RawURLEncoding.EncodeToString(big.NewInt(int64(e)).Bytes()))
	}
	one, x := good("one"), func(kid string) string { return between(good(kid), `"x":"`, `"`) }
	offCurve := strings.Replace(good("off"), between(one, `"x":"`, `"`), x("x"), 1)
	offCurve = strings.Replace(offCurve, between(offCurve, `"x":"`, `"`), x("x"), 1)
	for name, tt := range map[string]struct {
		keys    []string
		want    int // authorities
		ignored int
		refused bool
	}{
		"good":                     {[]string{one, good("two")}, 2, 0, false},
		"no kty":                   {[]string{one, `{"kid":"k"}`}, 1, 1, false},
		"no kid":                   {[]string{one, good("")}, 1, 1, false},
		"not an object":            {[]string{one, `5`}, 1, 1, false},
		"RSA with e=1":             {[]string{one, rsaKey(2048, 1)}, 1, 1, false},
		"RSA with an even e":       {[]string{one, rsaKey(2048, 4)}, 1, 1, false},
		"RSA of 2048 bits":         {[]string{one, rsaKey(2048, 65537)}, 2, 0, false},
		"RSA of 2047 bits":         {[]string{one, rsaKey(2047, 65537)}, 1, 1, false},
		"RSA of 16400 bits":        {[]string{one, rsaKey(16400, 65537)}, 1, 1, false},
		"point off the curve":      {[]string{one, offCurve}, 1, 1, false},
		"unknown type":             {[]string{one, `{"kty":"PQ","kid":"k"}`}, 1, 0, false},
		"unknown curve":            {[]string{one, `{"kty":"EC","crv":"P-999","kid":"k"}`}, 1, 0, false},
		"for another use":          {[]string{one, `{"kty":"RSA","use":"enc","kid":"k"}`}, 1, 0, false},
		"two with one kid":         {[]string{one, good("one")}, 1, 1, false},
		"private":                  {[]string{one, `{"kty":"EC","crv":"P-256","kid":"k","x":"AA","y":"AA","d":"AA"}`}, 0, 0, true},
		"private and malformed":    {[]string{one, `{"kty":"RSA","kid":"k","d":"AA"}`}, 0, 0, true},
		"symmetric":                {[]string{one, `{"kty":"oct","kid":"k","k":"AA"}`}, 0, 0, true},
		"nothing but malformed":    {[]string{`{"kid":"k"}`, `{"kty":"RSA","kid":"k"}`}, 0, 2, true},
		"nothing for us":           {[]string{`{"kty":"PQ","kid":"k"}`}, 0, 0, false},
		"too many":                 {slices.Repeat([]string{`{}`}, maxAuthorities+1), 0, 0, true},
		"of two, the first counts": {[]string{one, good("one"), good("two")}, 2, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			doc := []byte(`{"keys":[` + strings.Join(tt.keys, ",") + `]}`)
			b, ignored, err := parseJWTBundle(testTD, doc)
			if (err != nil) != tt.refused || ignored.count != tt.ignored {
				t.Fatalf("%d ignored, want %d; error %v", ignored.count, tt.ignored, err)
			}
			if err != nil {
				wantReason(t, err, ReasonGarbage)
				return
			}
			if n := len(b.JWTAuthorities()); n != tt.want {
				t.Errorf("%d authorities, want %d", n, tt.want)
			}
			var first jose.JSONWebKey
			check(t, first.UnmarshalJSON([]byte(one)))
			if key, ok := b.FindJWTAuthority("one"); tt.want > 0 && (!ok || !publicKeysEqual(key, first.Key)) {
				t.Error("the first of a kid is not the one that counts")
			}
		})
	}
}

// What is ignored of a good bundle is counted and said at every answer, and the
// bundle is used.
func TestIgnoredKeysAreSaid(t *testing.T) {
	jwk := jose.JSONWebKey{Key: ec(elliptic.P256()).Public(), KeyID: "one"}
	doc := fmt.Appendf(nil, `{"keys":[%s,{"kid":"k"},{"kid":"k2"}]}`, must(jwk.MarshalJSON()))
	answer := func() *workload.JWTBundlesResponse {
		return &workload.JWTBundlesResponse{Bundles: map[string][]byte{"spiffe://example.org": doc}}
	}
	first, err := parseJWTBundles(t.Context(), answer(), nil, time.Now())
	wantReason(t, err, ReasonAuthority)
	if first == nil || !strings.HasSuffix(err.Error(), "(and 1 more)") {
		t.Fatalf("%v: %v", first, err)
	}
	again, err := parseJWTBundles(t.Context(), answer(), first, time.Now())
	wantReason(t, err, ReasonAuthority)
	if again != first || !strings.HasSuffix(err.Error(), "(and 1 more)") {
		t.Errorf("the same answer again: %v", err)
	}

	// It is no problem of ours: it is counted, and the state is a good one.
	log := &logCounter{}
	b, k := newBoard("", log.logger()), key{profile: ProfileJWTBundle}
	b.add(k)
	b.connected()
	for range 3 {
		b.good(k, func(s *snapshot.Snapshot) { s.JWTBundles = first.out }, err)
	}
	p := b.status().Profiles[0]
	if p.State != StateStreaming || p.Rejected[ReasonAuthority] != 3 || p.LastError == nil || b.status().Problem() != "" {
		t.Errorf("%+v, problem %q", p, b.status().Problem())
	}
	if n := log.count("a part of a bundle is ignored"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
}

func TestOddWIT(t *testing.T) {
	now := time.Now()
	key := jose.JSONWebKey{Key: ec(elliptic.P256()), KeyID: "bound"}
	private := string(must(key.MarshalJSON()))
	public := func(alg string) string {
		k := key.Public()
		k.Algorithm = alg
		return string(must(k.MarshalJSON()))
	}
	header := `{"alg":"ES256","typ":"wit+jwt","kid":"k"}`
	claims := func(more, jwk string) string {
		return fmt.Sprintf(`{"sub":%q,"exp":%d%s,"cnf":{"jwk":%s}}`, testID, now.Add(time.Hour).Unix(), more, jwk)
	}
	for name, tt := range map[string]struct {
		header, claims string
		want           Reason
	}{
		"good":                    {header, claims("", public("ES256")), ""},
		"issued by a clock ahead": {header, claims(fmt.Sprintf(`,"iat":%d`, now.Add(24*time.Hour).Unix()), public("ES256")), ""},
		"not valid yet":           {header, claims(fmt.Sprintf(`,"nbf":%d`, now.Add(24*time.Hour).Unix()), public("ES256")), ReasonNotYetValid},
		"alg of RSA":              {header, claims("", public("RS256")), ReasonInvalidSVID},
		"alg of another curve":    {header, claims("", public("ES384")), ReasonInvalidSVID},
		"no alg":                  {header, claims("", public("")), ReasonInvalidSVID},
		"bound to a private key":  {header, claims("", private), ReasonInvalidSVID},
		"bound to nothing":        {header, fmt.Sprintf(`{"sub":%q,"exp":%d}`, testID, now.Add(time.Hour).Unix()), ReasonInvalidSVID},
		"audience":                {header, claims(`,"aud":"x"`, public("ES256")), ReasonInvalidSVID},
		"critical extension":      {`{"alg":"ES256","typ":"wit+jwt","kid":"k","crit":["b"],"b":1}`, claims("", public("ES256")), ReasonInvalidSVID},
		"no kid":                  {`{"alg":"ES256","typ":"wit+jwt"}`, claims("", public("ES256")), ReasonInvalidSVID},
		"no type":                 {`{"alg":"ES256","kid":"k"}`, claims("", public("ES256")), ReasonInvalidSVID},
		"exp in milliseconds":     {header, fmt.Sprintf(`{"sub":%q,"exp":%d,"cnf":{"jwk":%s}}`, testID, now.Add(time.Hour).UnixMilli(), public("ES256")), ReasonTime},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &workload.WITSVIDResponse{Svids: []*workload.WITSVID{{
				SpiffeId: testID.String(), WitSvid: encodeToken(tt.header, tt.claims), WitSvidKey: private,
			}}}
			_, err := parseWIT(t.Context(), resp, nil, now)
			if tt.want != "" {
				wantReason(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
