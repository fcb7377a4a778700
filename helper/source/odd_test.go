package source

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// An issuer issues as nobody does whom we know, and as the standards allow.
type issuer struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
}

func newIssuer(t testing.TB, key crypto.Signer, by *issuer, edit ...func(*x509.Certificate)) *issuer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "odd"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		URIs: []*url.URL{testID.TrustDomain().ID().URL()},
	}
	for _, e := range edit {
		e(template)
	}
	i := &issuer{t: t, key: key}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	i.cert = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer))))
	return i
}

// leaf issues to key, with the bundle of these certificates.
func (i *issuer) leaf(key crypto.Signer, id string, bundle ...*x509.Certificate) *workload.X509SVID {
	i.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
		URIs:     []*url.URL{spiffeid.RequireFromString(id).URL()},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, i.cert, key.Public(), i.key))
	svid := &workload.X509SVID{SpiffeId: id, X509Svid: der, X509SvidKey: must(x509.MarshalPKCS8PrivateKey(key))}
	for _, c := range bundle {
		svid.Bundle = append(svid.Bundle, c.Raw...)
	}
	return svid
}

func ec(curve elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(curve, rand.Reader)) }

// withAttributes adds attributes to a PKCS#8 key (RFC 5208 5), as keytool and
// some hardware modules do.
func withAttributes(t testing.TB, key []byte) []byte {
	t.Helper()
	var in struct {
		Version    int
		Algorithm  asn1.RawValue
		PrivateKey []byte
	}
	if _, err := asn1.Unmarshal(key, &in); err != nil {
		t.Fatal(err)
	}
	return must(asn1.Marshal(struct {
		Version    int
		Algorithm  asn1.RawValue
		PrivateKey []byte
		Attributes asn1.RawValue
	}{in.Version, in.Algorithm, in.PrivateKey, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true,
		Bytes: must(asn1.Marshal(struct {
			ID     asn1.ObjectIdentifier
			Values []string `asn1:"set"`
		}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}, []string{"name"}}))}}))
}

// What is odd and yet as the standards have it is taken.
func TestOddButValidX509(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256 := ec(elliptic.P256())
	root := newIssuer(t, p256, nil)
	self := func(key crypto.Signer) *workload.X509SVID { return root.leaf(key, testID.String(), root.cert) }
	oddExtension := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: []byte{5, 0}}}
	}
	middle := newIssuer(t, ec(elliptic.P384()), root)
	low := newIssuer(t, ec(elliptic.P256()), middle)
	expired := newIssuer(t, ec(elliptic.P256()), nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	nameless := newIssuer(t, ec(elliptic.P256()), nil, func(c *x509.Certificate) { c.URIs, c.Subject = nil, pkix.Name{} })
	chain := func(svid *workload.X509SVID, certs ...*x509.Certificate) *workload.X509SVID {
		for _, c := range certs {
			svid.X509Svid = append(svid.X509Svid, c.Raw...)
		}
		return svid
	}
	attributes := self(p256)
	attributes.X509SvidKey = withAttributes(t, attributes.X509SvidKey)
	other := newIssuer(t, p256, nil, func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "other.test"}} })
	constrained := newIssuer(t, ec(elliptic.P256()), nil, func(c *x509.Certificate) {
		c.PermittedURIDomains, c.PermittedDNSDomainsCritical = []string{"example.org"}, true
	})

	for name, svids := range map[string][]*workload.X509SVID{
		"P-384 key":                    {self(ec(elliptic.P384()))},
		"P-521 key":                    {self(ec(elliptic.P521()))},
		"Ed25519 key":                  {self(ed)},
		"RSA key of 1024 bits":         {self(must(rsa.GenerateKey(rand.Reader, 1024)))},
		"Ed25519 authority":            {newIssuer(t, ed, nil).leaf(p256, testID.String(), newIssuer(t, ed, nil).cert)},
		"PKCS#8 key with attributes":   {attributes},
		"an SVID twice":                {self(p256), self(p256)},
		"two trust domains":            {self(p256), other.leaf(p256, "spiffe://other.test/x", other.cert)},
		"intermediates":                {chain(low.leaf(p256, testID.String(), root.cert), low.cert, middle.cert)},
		"intermediates in any order":   {chain(low.leaf(p256, testID.String(), root.cert), middle.cert, low.cert)},
		"the root in the chain":        {chain(low.leaf(p256, testID.String(), root.cert), low.cert, middle.cert, root.cert)},
		"an intermediate as authority": {low.leaf(p256, testID.String(), low.cert)},
		"an authority twice":           {root.leaf(p256, testID.String(), root.cert, root.cert)},
		"an expired authority too":     {root.leaf(p256, testID.String(), expired.cert, root.cert)},
		"authority without a name":     {nameless.leaf(p256, testID.String(), nameless.cert)},
		"authority with an extension": func() []*workload.X509SVID {
			i := newIssuer(t, p256, nil, oddExtension)
			return []*workload.X509SVID{i.leaf(p256, testID.String(), i.cert)}
		}(),
		"authority with a name constraint": {constrained.leaf(p256, testID.String(), constrained.cert)},
	} {
		t.Run(name, func(t *testing.T) {
			part, err := parseX509(t.Context(), x509Answer(svids...), nil, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(part.out.SVIDs); n != len(svids) {
				t.Errorf("%d SVIDs, want %d", n, len(svids))
			}
		})
	}
}

// encodeToken makes a JWT of a header and claims as they are written here. Its
// signature is nobody's: that is for whoever is shown the token to check.
func encodeToken(header, claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(header)) + "." + part([]byte(claims)) + "." + part(make([]byte, 64))
}

func TestOddJWT(t *testing.T) {
	now := time.Now()
	in := func(d time.Duration) int64 { return now.Add(d).Unix() }
	header := `{"alg":"ES256","kid":"k"}`
	claims := func(format string, args ...any) string {
		return fmt.Sprintf(`{"sub":"spiffe://example.org/web",`+format+`}`, args...)
	}
	exp := fmt.Sprintf(`"exp":%d`, in(time.Hour))
	for name, tt := range map[string]struct {
		token string
		want  Reason // empty: valid
	}{
		"audience that is a string":     {encodeToken(header, claims(`"aud":"vault",%s`, exp)), ""},
		"several audiences":             {encodeToken(header, claims(`"aud":["x","vault"],%s`, exp)), ""},
		"no iat":                        {encodeToken(header, claims(`"aud":["vault"],%s`, exp)), ""},
		"times with a fraction":         {encodeToken(header, claims(`"aud":["vault"],"exp":%d.75,"iat":%d.5`, in(time.Hour), in(0))), ""},
		"times with an exponent":        {encodeToken(header, claims(`"aud":["vault"],"exp":%e`, float64(in(time.Hour)))), ""},
		"issued by a clock a bit ahead": {encodeToken(header, claims(`"aud":["vault"],%s,"iat":%d`, exp, in(30*time.Second))), ""},
		"no kid":                        {encodeToken(`{"alg":"RS512"}`, claims(`"aud":["vault"],%s`, exp)), ""},
		"typ JOSE":                      {encodeToken(`{"alg":"PS256","typ":"JOSE"}`, claims(`"aud":["vault"],%s`, exp)), ""},
		"claims of any kind":            {encodeToken(header, claims(`"aud":["vault"],%s,"a":{"b":[1,null]}`, exp)), ""},
		"expires in a century":          {encodeToken(header, claims(`"aud":["vault"],"exp":%d`, in(100*365*24*time.Hour))), ""},
		"another audience":              {encodeToken(header, claims(`"aud":["x"],%s`, exp)), ReasonAudience},
		"no audience":                   {encodeToken(header, claims(`%s`, exp)), ReasonAudience},
		"audience that is a number":     {encodeToken(header, claims(`"aud":5,%s`, exp)), ReasonGarbage},
		"no exp":                        {encodeToken(header, claims(`"aud":["vault"]`)), ReasonInvalidSVID},
		"exp in words":                  {encodeToken(header, claims(`"aud":["vault"],"exp":"tomorrow"`)), ReasonGarbage},
		"exp out of range":              {encodeToken(header, claims(`"aud":["vault"],"exp":1e300`)), ReasonGarbage},
		"issued by a clock a day ahead": {encodeToken(header, claims(`"aud":["vault"],%s,"iat":%d`, exp, in(24*time.Hour))), ""},
		"exp in milliseconds":           {encodeToken(header, claims(`"aud":["vault"],"exp":%d`, now.Add(time.Hour).UnixMilli())), ReasonTime},
		"critical extension":            {encodeToken(`{"alg":"ES256","crit":["x"],"x":1}`, claims(`"aud":["vault"],%s`, exp)), ReasonInvalidSVID},
		"no subject":                    {encodeToken(header, fmt.Sprintf(`{"aud":["vault"],%s}`, exp)), ReasonInvalidSVID},
		"not valid yet":                 {encodeToken(header, claims(`"aud":["vault"],%s,"nbf":%d`, exp, in(5*time.Minute))), ReasonNotYetValid},
		"no signature algorithm":        {encodeToken(`{"alg":"none"}`, claims(`"aud":["vault"],%s`, exp)), ReasonGarbage},
		"symmetric algorithm":           {encodeToken(`{"alg":"HS256"}`, claims(`"aud":["vault"],%s`, exp)), ReasonGarbage},
		"wrong typ":                     {encodeToken(`{"alg":"ES256","typ":"wit+jwt"}`, claims(`"aud":["vault"],%s`, exp)), ReasonInvalidSVID},
		"padding":                       {encodeToken(header, claims(`"aud":["vault"],%s`, exp)) + "==", ReasonGarbage},
		"a line break":                  {encodeToken(header, claims(`"aud":["vault"],%s`, exp)) + "\n", ReasonGarbage},
		"JSON serialization":            {`{"payload":"e30","protected":"e30","signature":"AA"}`, ReasonGarbage},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{{SpiffeId: testID.String(), Svid: tt.token}}}
			svid, err := parseJWT(resp, jwtRequest("", "vault"), nil, now)
			switch {
			case tt.want != "":
				wantReason(t, err, tt.want)
				if err != nil && strings.Contains(err.Error(), tt.token) {
					t.Error("the token is in the error")
				}
			case err != nil:
				t.Error(err)
			case svid.Token != tt.token || !svid.Expiry.After(now):
				t.Errorf("%+v is another token", svid)
			}
		})
	}
}
