package encode

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/svidhelper/svidhelper/helper/keystore"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// fixedTime is when fixed material begins.
var fixedTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// seedKey is a key that a seed determines.
func seedKey(t testing.TB, seed string) *ecdsa.PrivateKey {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
	must(t, err)
	return key
}

// seedSigner is an authority's key, which signs the same bytes in the same way.
func seedSigner(seed string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(sum[:])
}

func seedAuthority(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	key := seedSigner(name)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name},
		NotBefore: fixedTime, NotAfter: fixedTime.AddDate(50, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, URIs: []*url.URL{td(name).ID().URL()},
	}
	return fixedCert(t, template, template, key.Public(), key)
}

func fixedCert(t testing.TB, template, parent *x509.Certificate, public any, key ed25519.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key) // Ed25519 uses no randomness
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

func seedSVID(t testing.TB, path, hint string, serial int64) *x509svid.SVID {
	t.Helper()
	id := spiffeid.RequireFromPath(td("example.org"), path)
	root, between, key := seedAuthority(t, "example.org"), seedSigner("intermediate"), seedKey(t, path)
	intermediate := fixedCert(t, &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "intermediate"},
		NotBefore: fixedTime, NotAfter: fixedTime.AddDate(49, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, URIs: []*url.URL{td("example.org").ID().URL()},
	}, root, between.Public(), seedSigner("example.org"))
	leaf := fixedCert(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: fixedTime, NotAfter: fixedTime.AddDate(48, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{id.URL()}, DNSNames: []string{"localhost"},
	}, intermediate, key.Public(), between)
	return &x509svid.SVID{ID: id, Certificates: []*x509.Certificate{leaf, intermediate}, PrivateKey: key, Hint: hint}
}

// fixed is a snapshot that never changes: two SVIDs, and the bundles of two trust
// domains, of which one has no tokens.
func fixed(t testing.TB) *snapshot.Snapshot {
	t.Helper()
	own := x509bundle.FromX509Authorities(td("example.org"), []*x509.Certificate{seedAuthority(t, "example.org")})
	foreign := x509bundle.FromX509Authorities(td("other.example"), []*x509.Certificate{seedAuthority(t, "other.example")})
	jwt, wit := jwtbundle.New(td("example.org")), witbundle.New(td("example.org"))
	must(t, jwt.AddJWTAuthority("jwt-key", seedKey(t, "jwt").Public()))
	must(t, wit.AddWITAuthority("wit-key", seedKey(t, "wit").Public()))
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: fixedTime, NextUpdate: fixedTime.AddDate(1, 0, 0)},
		seedAuthority(t, "example.org"), seedSigner("example.org"))
	must(t, err)
	crl, err := x509.ParseRevocationList(der)
	must(t, err)
	web := spiffeid.RequireFromPath(td("example.org"), "/web")
	return &snapshot.Snapshot{
		JWTSVIDs: map[snapshot.JWTRequest]*snapshot.JWTSVID{
			snapshot.NewJWTRequest([]string{"vault"}, spiffeid.ID{}, ""): {ID: web, Audience: []string{"vault"}, Expiry: fixedTime.AddDate(1, 0, 0), TokenID: "jti", Token: "e30.e30.c2ln"},
		},
		WIT: &snapshot.WIT{SVIDs: []*snapshot.WITSVID{{ID: web, Expiry: fixedTime.AddDate(1, 0, 0), Token: "e30.e30.d2l0", PrivateKey: seedKey(t, "bound")}}},
		X509: &snapshot.X509{
			CRLs: []*x509.RevocationList{crl},
			SVIDs: []snapshot.X509SVID{
				{SVID: seedSVID(t, "/web", "internal", 1001), Bundle: own},
				{SVID: seedSVID(t, "/db", "", 1002), Bundle: own},
			},
			Federated: []*x509bundle.Bundle{foreign},
		},
		X509Bundles: &snapshot.X509Bundles{Bundles: []*x509bundle.Bundle{own, foreign}},
		JWTBundles:  &snapshot.JWTBundles{Bundles: []*jwtbundle.Bundle{jwt}},
		WITBundles:  &snapshot.WITBundles{Bundles: []*witbundle.Bundle{wit}},
	}
}

// everyForm is an output with a file of each form. Their names are those of the golden
// files.
func everyForm() *Output {
	named := func(name string) FileSpec { return FileSpec{Name: name} }
	secret := Secret{Password: "changeit"}
	store := func(name string, e keystore.Encryption, root bool) *Keystore {
		k := &Keystore{File: named(name), Secret: secret, Alias: "web", Encryption: e, Root: root}
		if e == keystore.None {
			k.Secret = Secret{}
		}
		return k
	}
	trust := func(name string, f BundleFormat, e keystore.Encryption) *X509Bundle {
		b := &X509Bundle{File: named(name), Format: f, Secret: secret, Encryption: e}
		if e == keystore.None {
			b.Secret = Secret{}
		}
		return b
	}
	own := []spiffeid.TrustDomain{td("example.org")}
	ofOwn := func(b *X509Bundle) X509Bundle { b.TrustDomains = own; return *b }
	return &Output{
		X509SVIDs: []X509SVID{
			{Cert: named("tls.crt"), Key: named("tls.key"), Bundle: named("ca.crt"), Combined: named("credential-bundle.pem"),
				CRL: named("crl.pem"), PKCS12: store("modern.p12", keystore.Modern, false), JKS: store("store.jks", keystore.Modern, false), Truststore: trust("trust.p12", FormatPKCS12, keystore.Modern)},
			{Cert: named("tls.der"), Key: named("tls.key.der"), Bundle: named("ca.der"), Encoding: EncodingDER,
				PKCS12: store("legacy.p12", keystore.Legacy, false), Truststore: trust("trust.jks", FormatJKS, keystore.Modern)},
			{Key: named("traditional.key"), KeyEncoding: KeyTraditional,
				PKCS12: store("none.p12", keystore.None, false), Truststore: trust("trust-none.p12", FormatPKCS12, keystore.None)},
			{Key: named("traditional.key.der"), KeyEncoding: KeyTraditional, Encoding: EncodingDER,
				PKCS12: store("ewallet.p12", keystore.Modern, true), Truststore: trust("trust-legacy.p12", FormatPKCS12, keystore.Legacy)},
			{Key: named("encrypted.key"), Combined: named("encrypted.pem"), KeySecret: secret, JKS: store("root.jks", keystore.Modern, true)},
			{Key: named("encrypted.key.der"), Encoding: EncodingDER, KeySecret: secret},
			{Select: Selector{All: true}, Combined: named("{index.}credential-bundle.private-key.x509.pem"), Hints: named("hints.json")},
		},
		X509Bundles: []X509Bundle{
			{File: named("{trust_domain}.spiffe-trust-bundle.x509.pem")},
			ofOwn(&X509Bundle{File: named("bundle.der"), Format: FormatDER}),
			{File: named("x509-{trust_domain}.json"), Format: FormatSPIFFE},
			ofOwn(trust("bundle.p12", FormatPKCS12, keystore.Modern)),
			ofOwn(trust("bundle.jks", FormatJKS, keystore.Modern)),
		},
		JWTSVIDs: []JWTSVID{{Audience: []string{"vault"}, File: named("vault.jwt")}},
		WITSVIDs: []WITSVID{{Token: named("wit.jwt"), Key: named("wit.key.json")}},
		JWTBundles: []JWTBundle{
			{File: named("jwt-map.json")}, {File: named("jwks.json"), Format: FormatJWKS}, {File: named("jwt-{trust_domain}.json"), Format: FormatSPIFFE},
		},
		WITBundles: []WITBundle{{File: named("wit-jwks.json"), Format: FormatJWKS}},
		Manifest:   named("manifest.json"),
		SPIFFEBundles: []SPIFFEBundle{
			{File: named("{trust_domain}.json"), RefreshHint: 10 * time.Minute},
			{File: named("all-{trust_domain}.json"), TrustDomains: own, Authorities: []Authority{AuthorityX509, AuthorityJWT, AuthorityWIT}},
			{File: named("map.json"), Format: FormatMap},
		},
	}
}

// fixedEncoder is an encoder for the output at a fixed time, after published.
func fixedEncoder(o *Output, published func(string) ([]byte, error)) *Encoder {
	e := NewEncoder(o, published)
	e.now = func() time.Time { return fixedTime }
	return e
}
