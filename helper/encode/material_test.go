package encode

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// An authority issues X.509-SVIDs for tests.
type authority struct {
	td   spiffeid.TrustDomain
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serials atomic.Int64

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(serials.Add(1))
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newAuthority(t testing.TB, td string) *authority {
	t.Helper()
	a := &authority{td: spiffeid.RequireTrustDomainFromString(td), key: newKey(t)}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: td},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		URIs: []*url.URL{a.td.ID().URL()},
	}
	a.cert = sign(t, template, template, a.key.Public(), a.key)
	return a
}

func (a *authority) bundle() *x509bundle.Bundle {
	return x509bundle.FromX509Authorities(a.td, []*x509.Certificate{a.cert})
}

// svid issues an X.509-SVID through one intermediate.
func (a *authority) svid(t testing.TB, path, hint string) *x509svid.SVID {
	t.Helper()
	return a.svidWithKey(t, path, hint, newKey(t))
}

func (a *authority) svidWithKey(t testing.TB, path, hint string, key crypto.Signer) *x509svid.SVID {
	t.Helper()
	ikey := newKey(t)
	intermediate := sign(t, &x509.Certificate{
		Subject:   pkix.Name{CommonName: "intermediate"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(12 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		URIs: []*url.URL{a.td.ID().URL()},
	}, a.cert, ikey.Public(), a.key)
	id := spiffeid.RequireFromPath(a.td, path)
	leaf := sign(t, &x509.Certificate{
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{id.URL()}, DNSNames: []string{"localhost"},
	}, intermediate, key.Public(), ikey)
	return &x509svid.SVID{ID: id, Certificates: []*x509.Certificate{leaf, intermediate}, PrivateKey: key, Hint: hint}
}

// answer is an answer of the X.509-SVID profile with one SVID.
func (a *authority) answer(t testing.TB, federated ...*x509bundle.Bundle) *snapshot.Snapshot {
	t.Helper()
	return &snapshot.Snapshot{X509: &snapshot.X509{
		SVIDs:     []snapshot.X509SVID{{SVID: a.svid(t, "/web", ""), Bundle: a.bundle()}},
		Federated: federated,
	}}
}

func newRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// jwtBundle is a JWT bundle with some keys.
func jwtBundle(t testing.TB, td string, keys int) *jwtbundle.Bundle {
	t.Helper()
	b := jwtbundle.New(spiffeid.RequireTrustDomainFromString(td))
	for i := range keys {
		if err := b.AddJWTAuthority(fmt.Sprintf("key-%d", i), newKey(t).Public()); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func td(name string) spiffeid.TrustDomain { return spiffeid.RequireTrustDomainFromString(name) }

func jwtBundles(bundles ...*jwtbundle.Bundle) *snapshot.JWTBundles {
	return &snapshot.JWTBundles{Bundles: bundles}
}

// jwtSVID is a JWT-SVID as the Workload API gives it.
func jwtSVID(t testing.TB, id spiffeid.ID, hint string, audience ...string) *snapshot.JWTSVID {
	t.Helper()
	expiry, jti := time.Now().Add(time.Hour).UTC().Truncate(time.Second), fmt.Sprintf("token-%d", serials.Add(1))
	token := signToken(t, "JWT", map[string]any{"sub": id.String(), "aud": audience, "exp": expiry.Unix(), "jti": jti})
	return &snapshot.JWTSVID{ID: id, Hint: hint, Audience: audience, Expiry: expiry, TokenID: jti, Token: token}
}

// witSVID is a WIT-SVID with its private key.
func witSVID(t testing.TB, id spiffeid.ID, hint string) *snapshot.WITSVID {
	t.Helper()
	key, expiry := newKey(t), time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	token := signToken(t, "wit+jwt", map[string]any{
		"sub": id.String(), "exp": expiry.Unix(),
		"cnf": map[string]any{"jwk": jose.JSONWebKey{Key: key.Public(), KeyID: "bound", Algorithm: "ES256"}},
	})
	return &snapshot.WITSVID{ID: id, Hint: hint, Expiry: expiry, Token: token, PrivateKey: key}
}

func signToken(t testing.TB, typ string, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", "key-0")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: newKey(t)}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func witBundle(t testing.TB, name string, keys int) *witbundle.Bundle {
	t.Helper()
	b := witbundle.New(td(name))
	for i := range keys {
		if err := b.AddWITAuthority(fmt.Sprintf("key-%d", i), newKey(t).Public()); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// crl is a revocation list of the authority.
func (a *authority) crl(t testing.TB) *x509.RevocationList {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(serials.Add(1)), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
	}, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

type svidWIT = snapshot.WITSVID

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// trio is an output of certificate, key and bundle.
func trio() *Output {
	return &Output{X509SVIDs: []X509SVID{{
		Cert: FileSpec{Name: "tls.crt"}, Key: FileSpec{Name: "tls.key"}, Bundle: FileSpec{Name: "ca.crt"},
	}}}
}

func encode(t testing.TB, s *snapshot.Snapshot, o *Output) Set {
	t.Helper()
	set, err := tryEncode(NewEncoder(o, unpublished), s)
	must(t, err)
	return set
}

// tryEncode makes an error of what cannot be encoded.
func tryEncode(e *Encoder, s *snapshot.Snapshot) (Set, error) {
	set := e.Encode(s, nil)
	var errs []error
	for _, g := range set.Gaps {
		errs = append(errs, g.Err)
	}
	for _, s := range set.Skipped {
		errs = append(errs, errors.New(s))
	}
	return set, errors.Join(errs...)
}

// awaited says what a set lacks, and keeps are the names that stay for it.
func awaited(set Set) (what, keeps []string) {
	for _, g := range set.Gaps {
		what, keeps = append(what, g.What), append(keeps, names(g.Files)...)
	}
	return what, keeps
}

// names are the names of the files that stay for a gap.
func names(files []FileSpec) (all []string) {
	for _, f := range files {
		all = append(all, f.Name)
	}
	return all
}
