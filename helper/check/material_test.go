package check_test

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
	"encoding/pem"
	"math/big"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/check"
)

// now is the time at which everything is checked, on a full second as openssl
// has it.
var now = time.Now().Truncate(time.Second)

// keyKinds are the kinds of key that certificates are made for.
var keyKinds = []string{"EC P-256", "EC P-384", "RSA 2048", "Ed25519"}

func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "EC P-256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EC P-384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EC P-521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "RSA 2048":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no such kind of key: %s", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var (
	keysMu sync.Mutex
	keys   = map[string]crypto.Signer{}
)

// keyFor returns the same key each time: RSA takes long.
func keyFor(t testing.TB, kind, use string) crypto.Signer {
	t.Helper()
	keysMu.Lock()
	defer keysMu.Unlock()
	if keys[kind+use] == nil {
		keys[kind+use] = newKey(t, kind)
	}
	return keys[kind+use]
}

// An edit makes something else of a template.
type edit func(*x509.Certificate)

type certificate = x509.Certificate

// An issuer is a signing certificate and its key.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serials = big.NewInt(0x0a1b2c)

func template(name string) *x509.Certificate {
	serials = new(big.Int).Add(serials, big.NewInt(0x1111))
	return &x509.Certificate{
		SerialNumber: serials, Subject: pkix.Name{Country: []string{"US"}, Organization: []string{"Example"}, CommonName: name},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true,
	}
}

func uri(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// authority returns the template of a signing certificate.
func authority(name string, edits ...edit) *x509.Certificate {
	c := template(name)
	c.NotAfter, c.IsCA = now.Add(24*time.Hour), true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	c.URIs = []*url.URL{uri("spiffe://example.org")}
	for _, e := range edits {
		e(c)
	}
	return c
}

// leaf returns the template of a leaf.
func leaf(edits ...edit) *x509.Certificate {
	c := template("web")
	c.URIs = []*url.URL{uri("spiffe://example.org/web")}
	c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, e := range edits {
		e(c)
	}
	return c
}

func sign(t testing.TB, c *x509.Certificate, public crypto.PublicKey, by issuer) *x509.Certificate {
	t.Helper()
	parent := by.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return mustParse(t, der, c)
}

// mustParse parses a certificate. One that does not parse keeps its bytes: that it
// does not is what is tested.
func mustParse(t testing.TB, der []byte, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	if parsed, err := x509.ParseCertificate(der); err == nil {
		return parsed
	}
	bad := *c
	bad.Raw = der
	return &bad
}

func newRoot(t testing.TB, edits ...edit) issuer {
	t.Helper()
	key := keyFor(t, "EC P-256", "root")
	c := authority("root", edits...)
	return issuer{sign(t, c, key.Public(), issuer{nil, key}), key}
}

func (by issuer) intermediate(t testing.TB, edits ...edit) issuer {
	t.Helper()
	key := keyFor(t, "EC P-256", "intermediate")
	return issuer{sign(t, authority("intermediate", edits...), key.Public(), by), key}
}

func certsPEM(certs ...*x509.Certificate) (text []byte) {
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

func keyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// A pair is an SVID with what it is checked beside.
type pair struct {
	chain  []*x509.Certificate
	key    crypto.Signer
	bundle []*x509.Certificate
}

// set returns a pair's files.
func (p pair) set(t testing.TB) check.Set {
	t.Helper()
	return check.Set{
		{Path: "svid.pem", Data: certsPEM(p.chain...), Mode: 0o644},
		{Path: "svid_key.pem", Data: keyPEM(t, p.key), Mode: 0o600},
		{Path: "svid_bundle.pem", Data: certsPEM(p.bundle...), Mode: 0o644},
	}
}

// extra overrides an extension that a template would have.
func extra(id asn1.ObjectIdentifier, critical bool, value any) edit {
	der, err := asn1.Marshal(value)
	if err != nil {
		panic(err)
	}
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: der})
	}
}

// uris sets the URIs of a template.
func uris(all ...string) edit {
	return func(c *x509.Certificate) {
		c.URIs = nil
		for _, s := range all {
			c.URIs = append(c.URIs, uri(s))
		}
	}
}
