package keystore

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
)

// JKS encodes contents as a Java KeyStore. What it says of when an entry was put
// there is since when the leaf is valid, or, where there is no key, the authority.
func JKS(c Contents, password string, salts io.Reader) ([]byte, error) {
	if err := errors.Join(CheckJKSPassword(password), c.check()); err != nil {
		return nil, err
	}
	secret := latin1(password)
	store := keystore.New(keystore.WithOrderedAliases(), keystore.WithCustomRandomNumberGenerator(salts))
	var created time.Time
	if c.Key != nil {
		created = c.Chain[0].NotBefore
		key, err := x509.MarshalPKCS8PrivateKey(c.Key)
		if err != nil {
			return nil, fmt.Errorf("encoding the private key: %w", err)
		}
		entry := keystore.PrivateKeyEntry{CreationTime: created, PrivateKey: key}
		for _, cert := range c.Chain {
			entry.CertificateChain = append(entry.CertificateChain, keystore.Certificate{Type: "X.509", Content: cert.Raw})
		}
		if err := store.SetPrivateKeyEntry(c.Alias, entry, secret); err != nil {
			return nil, fmt.Errorf("encoding the JKS keystore: %w", err)
		}
	}
	for _, t := range c.Trusted {
		entry := keystore.TrustedCertificateEntry{CreationTime: created, Certificate: keystore.Certificate{Type: "X.509", Content: t.Cert.Raw}}
		if created.IsZero() {
			entry.CreationTime = t.Cert.NotBefore
		}
		if err := store.SetTrustedCertificateEntry(t.Alias, entry); err != nil {
			return nil, fmt.Errorf("encoding the JKS keystore: %w", err)
		}
	}
	var out bytes.Buffer
	if err := store.Store(&out, secret); err != nil {
		return nil, fmt.Errorf("encoding the JKS keystore: %w", err)
	}
	return out.Bytes(), nil
}

// CheckJKSPassword reports why a password cannot be that of a Java KeyStore. The
// library takes a byte for each of Java's characters.
func CheckJKSPassword(password string) error {
	if strings.ContainsFunc(password, func(r rune) bool { return r > 0xff }) {
		return errors.New("a Java KeyStore's password has no characters beyond U+00FF here; PKCS#12 has all")
	}
	return nil
}

// latin1 has a byte for each character up to U+00FF.
func latin1(s string) []byte {
	var out []byte
	for _, r := range s {
		out = append(out, byte(r))
	}
	return out
}
