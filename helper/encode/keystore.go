package encode

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
)

// file is the keystore's file, or none.
func (k *Keystore) file() FileSpec {
	if k == nil {
		return FileSpec{}
	}
	return k.File
}

// password returns the keystore's password.
func (r *encoding) password(k *Keystore) (string, error) { return k.ReadPassword(r.readFile) }

// ReadPassword returns the keystore's password. read reads a file.
func (k *Keystore) ReadPassword(read func(name string) ([]byte, error)) (string, error) {
	if k.PasswordFile == "" {
		return k.Password, nil
	}
	data, err := read(k.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("reading the keystore's password: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// keystoreFrom are the values that a keystore is made from. A password that
// cannot be read shows when the keystore is encoded.
func (x x509Encoding) keystoreFrom(k *Keystore) []any {
	if k == nil {
		return nil
	}
	password, err := x.password(k)
	return []any{x.svid.SVID, x.svid.Bundle, password, err == nil}
}

func (x x509Encoding) pkcs12() ([]byte, error) {
	k := x.want.PKCS12
	password, err := x.password(k)
	if err != nil {
		return nil, err
	}
	salts, err := x.salts("PKCS#12", password)
	if err != nil {
		return nil, err
	}
	w := pkcs12Writer{password: password, salts: salts}
	return w.encode(x.svid.PrivateKey, x.svid.Certificates, x.alias(k), x.authorities())
}

func (x x509Encoding) jks() ([]byte, error) {
	k := x.want.JKS
	password, err := x.password(k)
	if err != nil {
		return nil, err
	}
	salts, err := x.salts("JKS", password)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(x.svid.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("encoding the private key: %w", err)
	}
	// The time of creation is the leaf's, so that the same SVID gives the same
	// bytes.
	created := x.svid.Certificates[0].NotBefore
	var chain []keystore.Certificate
	for _, c := range x.svid.Certificates {
		chain = append(chain, keystore.Certificate{Type: "X.509", Content: c.Raw})
	}
	store := keystore.New(keystore.WithOrderedAliases(), keystore.WithCustomRandomNumberGenerator(salts))
	alias := x.alias(k)
	entry := keystore.PrivateKeyEntry{CreationTime: created, PrivateKey: key, CertificateChain: chain}
	if err := store.SetPrivateKeyEntry(alias, entry, []byte(password)); err != nil {
		return nil, fmt.Errorf("encoding the JKS keystore: %w", err)
	}
	for _, a := range x.authorities() {
		if strings.EqualFold(a.alias, alias) {
			return nil, fmt.Errorf("the alias %q of the key is that of an authority too: choose another one", alias)
		}
		entry := keystore.TrustedCertificateEntry{
			CreationTime: created, Certificate: keystore.Certificate{Type: "X.509", Content: a.cert.Raw},
		}
		if err := store.SetTrustedCertificateEntry(a.alias, entry); err != nil {
			return nil, fmt.Errorf("encoding the JKS keystore: %w", err)
		}
	}
	var out bytes.Buffer
	if err := store.Store(&out, []byte(password)); err != nil {
		return nil, fmt.Errorf("encoding the JKS keystore: %w", err)
	}
	return out.Bytes(), nil
}

// alias is the name of the key in a keystore.
func (x x509Encoding) alias(k *Keystore) string {
	if k.Alias != "" {
		return k.Alias
	}
	return x.svid.ID.String()
}

// authorities are those of the SVID's own trust domain, with their names in a
// keystore.
func (x x509Encoding) authorities() []trusted {
	var all []trusted
	for i, c := range x.svid.Bundle.X509Authorities() {
		all = append(all, trusted{fmt.Sprintf("%s-%d", x.svid.Bundle.TrustDomain().Name(), i), c})
	}
	return all
}

// salts returns a source of salts and initialization vectors that depends on
// all that goes into a keystore and on nothing else: the same content gives the
// same bytes and different content different ones, and only with the key
// can they be foretold. So an unchanged keystore is not published again after a
// restart.
func (x x509Encoding) salts(form, password string) (io.Reader, error) {
	secret, err := x509.MarshalPKCS8PrivateKey(x.svid.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("encoding the private key: %w", err)
	}
	content := sha256.New()
	for _, part := range []string{form, password, x.want.PKCS12.alias(), x.want.JKS.alias()} {
		fmt.Fprintf(content, "%d:%s", len(part), part)
	}
	for _, certs := range [][]*x509.Certificate{x.svid.Certificates, x.svid.Bundle.X509Authorities()} {
		fmt.Fprintf(content, "%d:", len(certs))
		for _, c := range certs {
			content.Write(c.Raw)
		}
	}
	const enough = 1024 // each keystore takes about a hundred bytes
	stream, err := hkdf.Key(sha256.New, secret, content.Sum(nil), "svidhelper keystore salts", enough)
	if err != nil {
		return nil, fmt.Errorf("deriving salts: %w", err)
	}
	return bytes.NewReader(stream), nil
}

func (k *Keystore) alias() string {
	if k == nil {
		return ""
	}
	return k.Alias
}
