package check_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/svidhelper/svidhelper/helper/check"
)

// members are those of a header or of claims; a nil one is left out.
type members = map[string]any

// signToken signs a token by hand, so that it may be as bad as it likes.
func signToken(t testing.TB, alg string, key crypto.Signer, header, claims any) string {
	t.Helper()
	encode := func(v any) string {
		raw, isText := v.(string)
		if !isText {
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			raw = string(data)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(raw))
	}
	text := encode(header) + "." + encode(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature(t, alg, key, []byte(text)))
}

func signature(t testing.TB, alg string, key crypto.Signer, text []byte) []byte {
	t.Helper()
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[max(0, len(alg)-3):]]
	if !hash.Available() {
		return nil
	}
	h := hash.New()
	h.Write(text)
	sum := h.Sum(nil)
	switch k := key.(type) {
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = hash
		if strings.HasPrefix(alg, "PS") {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		s, err := k.Sign(rand.Reader, sum, opts)
		if err != nil {
			t.Fatal(err)
		}
		return s
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum)
		if err != nil {
			t.Fatal(err)
		}
		n := (k.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, n)), s.FillBytes(make([]byte, n))...)
	}
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write(text)
	return mac.Sum(nil)
}

// signers are the keys that sign tokens, by algorithm.
var signers = map[string]string{
	"RS256": "RSA 2048", "RS384": "RSA 2048", "RS512": "RSA 2048", "PS256": "RSA 2048", "PS384": "RSA 2048", "PS512": "RSA 2048",
	"ES256": "EC P-256", "ES384": "EC P-384", "ES512": "EC P-521",
}

func signer(t testing.TB, alg string) crypto.Signer { return keyFor(t, signers[alg], "token") }

// kidOf is the key ID of an algorithm's key.
func kidOf(alg string) string { return "authority for " + signers[alg] }

// tokenAuthorities are the public keys of the signers, as a JWKS for a use.
func tokenAuthorities(t testing.TB, use string) []byte {
	var set jose.JSONWebKeySet
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512"} {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: signer(t, alg).Public(), KeyID: kidOf(alg), Use: use})
	}
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// over returns members with others over them.
func over(base, edits members) members {
	all := maps.Clone(base)
	maps.Copy(all, edits)
	return all
}

// with is over, where nil takes a member away.
func with(base, edits members) members {
	all := over(base, edits)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

func jwtHeader(alg string) members { return members{"alg": alg, "kid": kidOf(alg), "typ": "JWT"} }

func jwtClaims() members {
	return members{"sub": "spiffe://example.org/web", "aud": []string{"vault"}, "exp": now.Add(10 * time.Minute).Unix(), "iat": now.Unix()}
}

// A spoiled is a token that is not as it has to be.
type spoiled struct {
	section        string
	header, claims members
	edit           func(token string) string
}

// badJWTs are what a JWT-SVID must not be.
var badJWTs = map[string]spoiled{
	"alg none":                            {section: "JWT-SVID 2.1", header: members{"alg": "none"}},
	"alg HS256":                           {section: "JWT-SVID 2.1", header: members{"alg": "HS256"}},
	"alg EdDSA":                           {section: "JWT-SVID 2.1", header: members{"alg": "EdDSA"}},
	"alg ES256K":                          {section: "JWT-SVID 2.1", header: members{"alg": "ES256K"}},
	"no alg":                              {section: "JWT-SVID 2.1", header: members{"alg": nil}},
	"alg in lower case":                   {section: "JWT-SVID 2.1", header: members{"alg": "es256"}},
	"typ of a WIT-SVID, with an audience": {section: "WIT-SVID 3.8", header: members{"typ": "wit+jwt"}},
	"typ at+jwt":                          {section: "JWT-SVID 2.3", header: members{"typ": "at+jwt"}},
	"typ in lower case":                   {section: "JWT-SVID 2.3", header: members{"typ": "jwt"}},
	"typ is a number":                     {section: "JWT-SVID 2.3", header: members{"typ": 1}},
	"jku":                                 {section: "JWT-SVID 2", header: members{"jku": "https://example.org/keys"}},
	"cty":                                 {section: "JWT-SVID 2", header: members{"cty": "text"}},
	"critical extensions":                 {section: "RFC 7515 4.1.11", header: members{"crit": []string{"x"}, "x": 1}},
	"an unknown kid":                      {section: "JWT-SVID 4", header: members{"kid": "another"}},
	"no kid":                              {section: "JWT-SVID 2.2", header: members{"kid": nil}},
	"no sub":                              {section: "JWT-SVID 3.1", claims: members{"sub": nil}},
	"sub is a name":                       {section: "JWT-SVID 3.1", claims: members{"sub": "web"}},
	"sub is a number":                     {section: "JWT-SVID 3.1", claims: members{"sub": 1}},
	"sub with a query":                    {section: "JWT-SVID 3.1", claims: members{"sub": "spiffe://example.org/web?a"}},
	"sub in upper case":                   {section: "SPIFFE-ID 2.1", claims: members{"sub": "spiffe://Example.org/web"}},
	"sub with a slash at the end":         {section: "SPIFFE-ID 2.2", claims: members{"sub": "spiffe://example.org/web/"}},
	"sub too long":                        {section: "SPIFFE-ID 2.3", claims: members{"sub": "spiffe://example.org/" + strings.Repeat("a", 2048)}},
	"no aud":                              {section: "JWT-SVID 3.2", claims: members{"aud": nil}},
	"aud is empty":                        {section: "JWT-SVID 3.2", claims: members{"aud": []string{}}},
	"aud is a number":                     {section: "JWT-SVID 3.2", claims: members{"aud": 1}},
	"aud is another":                      {section: "JWT-SVID 3.2", claims: members{"aud": "other"}},
	"no exp":                              {section: "JWT-SVID 3.3", claims: members{"exp": nil}},
	"exp is text":                         {section: "JWT-SVID 3.3", claims: members{"exp": "soon"}},
	"expired":                             {section: "JWT-SVID 3.3", claims: members{"exp": now.Add(-2 * time.Minute).Unix()}},
	"expires too soon":                    {section: "JWT-SVID 3.3", claims: members{"exp": now.Add(minRemaining - time.Second).Unix()}},
	"not yet valid":                       {section: "RFC 7519 4.1.5", claims: members{"nbf": now.Add(5 * time.Minute).Unix()}},
	"issued in the future":                {section: "RFC 7519 4.1.6", claims: members{"iat": now.Add(5 * time.Minute).Unix()}},
	"another's signature":                 {section: "JWT-SVID 4", edit: func(token string) string { return token[:len(token)-8] + "AAAAAAAA" }},
	"no signature":                        {section: "JWT-SVID 4", edit: func(token string) string { return token[:strings.LastIndexByte(token, '.')+1] }},
	"two parts":                           {section: "JWT-SVID 5.1", edit: func(token string) string { return token[:strings.LastIndexByte(token, '.')] }},
	"white space":                         {section: "JWT-SVID 5.1", edit: func(token string) string { return token[:20] + "\n" + token[20:] }},
	"padding":                             {section: "JWT-SVID 5.1", edit: func(token string) string { return strings.Replace(token, ".", "=.", 1) }},
	"encrypted":                           {section: "JWT-SVID 2", edit: func(token string) string { return token + ".e.f" }},
	"JSON serialization": {section: "JWT-SVID 5.1", edit: func(token string) string {
		p := strings.Split(token, ".")
		return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`
	}},
	"claims changed": {section: "JWT-SVID 4", edit: func(token string) string {
		p := strings.Split(token, ".")
		return p[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"spiffe://example.org/root","aud":"vault","exp":99999999999}`)) + "." + p[2]
	}},
	"claims are an array": {section: "JWT-SVID 4", edit: func(token string) string {
		p := strings.Split(token, ".")
		return p[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`[1]`)) + "." + p[2]
	}},
}

// goodJWTs are what a JWT-SVID may be.
var goodJWTs = map[string]spoiled{
	"plain":                {},
	"typ JOSE":             {header: members{"typ": "JOSE"}},
	"no typ":               {header: members{"typ": nil}},
	"one audience as text": {claims: members{"aud": "vault"}},
	"no iat":               {claims: members{"iat": nil}},
	"other claims":         {claims: members{"jti": "1", "iss": "https://example.org", "https://example.org/x": members{"a": []int{1}}}},
	"a date with fraction": {claims: members{"exp": float64(now.Add(time.Hour).Unix()) + 0.5}},
	"valid since now":      {claims: members{"nbf": now.Unix()}},
	"a newline at the end": {edit: func(token string) string { return token + "\n" }},
}

func (s spoiled) jwt(t testing.TB, alg string) string {
	token := signToken(t, alg, signer(t, alg), with(jwtHeader(alg), s.header), with(jwtClaims(), s.claims))
	if s.edit != nil {
		token = s.edit(token)
	}
	return token
}

// witSamples are WIT-SVIDs beside their keys and their authorities.
func witSamples(t testing.TB) (samples []sample) {
	bound := keyFor(t, "EC P-256", "bound")
	private := jose.JSONWebKey{Key: bound, KeyID: "bound", Algorithm: "ES256"}
	public := private.Public()
	asMap := func(k jose.JSONWebKey, edits members) members {
		data, err := k.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var m members
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return with(m, edits)
	}
	header := func(alg string) members { return members{"alg": alg, "kid": kidOf(alg), "typ": "wit+jwt"} }
	claims := members{"sub": "spiffe://example.org/web", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "cnf": members{"jwk": asMap(public, nil)}}
	key, err := private.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	add := func(name, section, alg string, h, c members, edit func(string) string) {
		token := signToken(t, alg, signer(t, alg), with(header(alg), h), with(claims, c))
		if edit != nil {
			token = edit(token)
		}
		samples = append(samples, sample{"WIT-SVID: " + name, check.Set{
			{Path: "token.wit", Data: []byte(token), Mode: 0o600, Want: check.Want{Kind: check.WITSVID}},
			{Path: "token.jwk", Data: key, Mode: 0o600},
			{Path: "bundle.json", Data: tokenAuthorities(t, "wit-svid"), Mode: 0o644},
		}, section})
	}
	for alg := range signers {
		add(alg, "", alg, nil, nil, nil)
	}
	add("issued in the future", "", "ES256", nil, members{"iat": now.Add(time.Hour).Unix()}, nil)
	add("valid since now", "", "ES256", nil, members{"nbf": now.Unix(), "jti": "1"}, nil)
	other := jose.JSONWebKey{Key: newKey(t, "EC P-256").Public(), Algorithm: "ES256"}
	okp := jose.JSONWebKey{Key: newKey(t, "Ed25519").Public(), Algorithm: "EdDSA"}
	for name, bad := range map[string]spoiled{
		"no kid":              {section: "WIT-SVID 2.1", header: members{"kid": nil}},
		"no typ":              {section: "WIT-SVID 2.2", header: members{"typ": nil}},
		"typ JWT":             {section: "WIT-SVID 2.2", header: members{"typ": "JWT"}},
		"alg HS256":           {section: "WIT-SVID 2.3", header: members{"alg": "HS256"}},
		"critical extensions": {section: "RFC 7515 4.1.11", header: members{"crit": []string{"x"}, "x": 1}},
		"no sub":              {section: "WIT-SVID 3.1", claims: members{"sub": nil}},
		"sub is a name":       {section: "WIT-SVID 3.1", claims: members{"sub": "web"}},
		"no cnf":              {section: "WIT-SVID 3.2", claims: members{"cnf": nil}},
		"cnf without jwk":     {section: "WIT-SVID 3.2", claims: members{"cnf": members{"kid": "1"}}},
		"cnf of another key":  {section: "WIT-SVID 3.2", claims: members{"cnf": members{"jwk": asMap(other, nil)}}},
		"cnf without alg":     {section: "WIT-SVID 3.2", claims: members{"cnf": members{"jwk": asMap(public, members{"alg": nil})}}},
		"cnf with RSA's alg":  {section: "WIT-SVID 3.2", claims: members{"cnf": members{"jwk": asMap(public, members{"alg": "RS256"})}}},
		"cnf with EdDSA":      {section: "WIT-SVID 3.2", claims: members{"cnf": members{"jwk": asMap(okp, nil)}}},
		"cnf is private":      {section: "WIT-SVID 3.2", claims: members{"cnf": members{"jwk": asMap(private, nil)}}},
		"no exp":              {section: "WIT-SVID 3.4", claims: members{"exp": nil}},
		"expired":             {section: "WIT-SVID 3.4", claims: members{"exp": now.Add(-time.Minute).Unix()}},
		"not yet valid":       {section: "WIT-SVID 3.5", claims: members{"nbf": now.Add(time.Hour).Unix()}},
		"an audience":         {section: "WIT-SVID 3.8", claims: members{"aud": "vault"}},
		"an unknown kid":      {section: "WIT-SVID 4", header: members{"kid": "another"}},
		"another's signature": {section: "WIT-SVID 4", edit: func(token string) string { return token[:len(token)-8] + "AAAAAAAA" }},
		"two parts":           {section: "WIT-SVID 1", edit: func(token string) string { return token[:strings.LastIndexByte(token, '.')] }},
	} {
		add(name, bad.section, "ES256", bad.header, bad.claims, bad.edit)
	}
	return samples
}

// jwtSamples are JWT-SVIDs beside their authorities.
func jwtSamples(t testing.TB) (samples []sample) {
	add := func(name, section, token string) {
		samples = append(samples, sample{"JWT-SVID: " + name, check.Set{
			{Path: "token.jwt", Data: []byte(token), Mode: 0o600},
			{Path: "bundle.json", Data: tokenAuthorities(t, "jwt-svid"), Mode: 0o644},
		}, section})
	}
	for name, good := range goodJWTs {
		add(name, "", good.jwt(t, "ES256"))
	}
	for alg := range signers {
		add(alg, "", spoiled{}.jwt(t, alg))
	}
	for name, bad := range badJWTs {
		add(name, bad.section, bad.jwt(t, "ES256"))
	}
	return samples
}

// bundleSamples are SPIFFE bundles and JWKS.
func bundleSamples(t testing.TB) (samples []sample) {
	root := newRoot(t)
	jwk := func(k jose.JSONWebKey, edits members) members {
		data, err := k.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var m members
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return with(m, edits)
	}
	x509Key := func(edits members) members {
		return jwk(jose.JSONWebKey{Key: root.cert.PublicKey}, over(members{"use": "x509-svid", "x5c": []string{base64.StdEncoding.EncodeToString(root.cert.Raw)}}, edits))
	}
	jwtKey := func(edits members) members {
		return jwk(jose.JSONWebKey{Key: signer(t, "ES256").Public(), KeyID: "1"}, over(members{"use": "jwt-svid"}, edits))
	}
	add := func(name, section string, doc members) {
		data, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, sample{"bundle: " + name, check.Set{{Path: "bundle.json", Data: data, Mode: 0o644}}, section})
	}
	keys := func(all ...members) members { return members{"keys": all, "spiffe_sequence": 1} }
	ca := sign(t, leaf(), newKey(t, "EC P-256").Public(), root)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	const td = "Trust Domain and Bundle "
	add("all three", "", keys(x509Key(nil), jwtKey(nil), jwtKey(members{"use": "wit-svid", "kid": "2"})))
	add("with a refresh hint", "", with(keys(x509Key(nil)), members{"spiffe_refresh_hint": 300}))
	add("other members", "", with(keys(x509Key(nil)), members{"comment": "x"}))
	add("a JWKS", "", members{"keys": []members{jwtKey(members{"use": nil}), jwtKey(members{"use": "sig", "kid": "2"})}})
	add("a bundle map", "", members{"trust_domains": members{"example.org": keys(x509Key(nil), jwtKey(nil))}})
	for name, bad := range map[string]struct {
		section string
		doc     members
	}{
		"keys is an object":            {td + "4.1.3", members{"keys": members{"a": 1}}},
		"keys is null":                 {td + "4.1.3", members{"keys": json.RawMessage("null")}},
		"sequence is text":             {td + "4.1.1", with(keys(x509Key(nil)), members{"spiffe_sequence": "1"})},
		"refresh hint is a fraction":   {td + "4.1.2", with(keys(x509Key(nil)), members{"spiffe_refresh_hint": 1.5})},
		"no kty":                       {td + "4.2.1", keys(jwtKey(members{"kty": nil}))},
		"no use":                       {td + "4.2.2", keys(x509Key(nil), jwtKey(members{"use": nil}))},
		"no x5c":                       {"X509-SVID 6.1", keys(x509Key(members{"x5c": nil}))},
		"two certificates":             {"X509-SVID 6.1", keys(x509Key(members{"x5c": []string{base64.StdEncoding.EncodeToString(root.cert.Raw), base64.StdEncoding.EncodeToString(root.cert.Raw)}}))},
		"an X.509 kid":                 {"X509-SVID 6.1", keys(x509Key(members{"kid": "1"}))},
		"a leaf":                       {"X509-SVID 4.1", keys(jwk(jose.JSONWebKey{Key: ca.PublicKey}, members{"use": "x509-svid", "x5c": []string{base64.StdEncoding.EncodeToString(ca.Raw)}}))},
		"a certificate of another key": {"RFC 7517 4", keys(jwk(jose.JSONWebKey{Key: ca.PublicKey}, members{"use": "x509-svid", "x5c": []string{base64.StdEncoding.EncodeToString(root.cert.Raw)}}))},
		"no kid":                       {"JWT-SVID 6.1", keys(jwtKey(members{"kid": nil}))},
		"no WIT kid":                   {"WIT-SVID 6.1", keys(jwtKey(members{"kid": nil, "use": "wit-svid"}))},
		"one kid twice":                {"WIT-SVID 6.1", keys(jwtKey(nil), jwtKey(members{"use": "wit-svid"}))},
		"a private key":                {"RFC 7517 9.2", keys(jwk(jose.JSONWebKey{Key: signer(t, "ES256"), KeyID: "1"}, members{"use": "jwt-svid"}))},
		"a symmetric key":              {"RFC 7517 9.2", keys(members{"kty": "oct", "k": "c2VjcmV0", "kid": "1", "use": "jwt-svid"})},
		"a weak key":                   {"RFC 7518 3.3", keys(jwk(jose.JSONWebKey{Key: weak.Public(), KeyID: "1"}, members{"use": "jwt-svid"}))},
		"a point off the curve":        {"RFC 7517 4", keys(jwtKey(members{"x": "AAAA"}))},
		"a key that is text":           {"RFC 7517 4", members{"spiffe_sequence": 1, "keys": []any{"key"}}},
		"a map with a bad name":        {"SPIFFE-ID 2.1", members{"trust_domains": members{"Example.org": keys(x509Key(nil))}}},
		"a map of text":                {td + "4.1.3", members{"trust_domains": members{"example.org": "x"}}},
		"a map that is text":           {td + "5.1.1", members{"trust_domains": "x"}},
		"base64 that is none":          {"RFC 4648 4", members{"example.org": "%%%"}},
	} {
		add(name, bad.section, bad.doc)
	}
	return samples
}
