package keystore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

func contents(t testing.TB) Contents {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return Contents{Key: key, Alias: "x", Chain: []*x509.Certificate{cert}, Trusted: []Trusted{{"y", cert}}}
}

// TestPKCS12 has the library open what is written with all kinds of passwords and
// salts.
func TestPKCS12(t *testing.T) {
	c := contents(t)
	for _, e := range []Encryption{Modern, Legacy, None} {
		for i := range 40 { // since how a key is derived depends on carries
			password := strings.Repeat("pä", i)
			if e == None {
				password = ""
			}
			data, err := PKCS12(c, password, e, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			key, leaf, rest, err := pkcs12.DecodeChain(data, password)
			if err != nil || !c.Key.(*ecdsa.PrivateKey).Equal(key) || !leaf.Equal(c.Chain[0]) || len(rest) != 1 {
				t.Fatalf("%q, %d letters: %v", e, len(password), err)
			}
			trust, err := PKCS12(Contents{Trusted: c.Trusted}, password, e, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if certs, err := pkcs12.DecodeTrustStore(trust, password); err != nil || len(certs) != 1 || !certs[0].Equal(c.Chain[0]) {
				t.Fatalf("%q, %d letters, trust store: %v", e, len(password), err)
			}
		}
	}
}

// TestMistakes: what cannot be written is an error.
func TestMistakes(t *testing.T) {
	c := contents(t)
	if _, err := JKS(c, "пароль", rand.Reader); err == nil || !strings.Contains(err.Error(), "U+00FF") {
		t.Errorf("a password in Cyrillic: %v", err)
	}
	c.Trusted[0].Alias = "X"
	if _, err := JKS(c, "x", rand.Reader); err == nil || !strings.Contains(err.Error(), "choose another one") {
		t.Errorf("two of one alias: %v", err)
	}
	if _, err := PKCS12(c, "x", Modern, rand.Reader); err == nil || !strings.Contains(err.Error(), "choose another one") {
		t.Errorf("two of one alias: %v", err)
	}
	c.Trusted = nil
	empty := bytes.NewReader(nil)
	if _, err := PKCS12(c, "x", Modern, empty); err == nil {
		t.Error("no salts")
	}
	if _, err := EncryptKey([]byte{0x30, 0}, "x", empty); err == nil {
		t.Error("no salts for a key")
	}
}
