package encode

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/svidhelper/svidhelper/helper/keystore"
)

// file is the keystore's file, or none.
func (k *Keystore) file() FileSpec {
	if k == nil {
		return FileSpec{}
	}
	return k.File
}

func (x *X509SVID) truststoreFile() FileSpec {
	if x.Truststore == nil {
		return FileSpec{}
	}
	return x.Truststore.File
}

// encoding is that of a bundle's certificates.
func (b *X509Bundle) encoding() Encoding {
	if b.Format == FormatDER {
		return EncodingDER
	}
	return EncodingPEM
}

func (r *encoding) password(s Secret) (string, error) { return s.Read(r.readFile) }

// Read returns the password. read reads a file.
func (s Secret) Read(read func(name string) ([]byte, error)) (string, error) {
	if s.PasswordFile == "" {
		return s.Password, nil
	}
	data, err := read(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// keystoreFrom are the values that a keystore is made from. A password that
// cannot be read shows when the keystore is encoded.
func (x x509Encoding) keystoreFrom(k *Keystore) []any {
	if k == nil {
		return nil
	}
	password, err := x.password(k.Secret)
	return []any{x.svid.SVID, x.svid.Bundle, password, err == nil}
}

func (x x509Encoding) truststoreFrom() []any {
	if x.want.Truststore == nil {
		return nil
	}
	password, err := x.password(x.want.Truststore.Secret)
	return []any{x.svid.Bundle, password, err == nil}
}

func (x x509Encoding) pkcs12() ([]byte, error) {
	k := x.want.PKCS12
	return x.keystore(k, "PKCS#12", func(c keystore.Contents, password string, salts io.Reader) ([]byte, error) {
		return keystore.PKCS12(c, password, k.Encryption, salts)
	})
}

func (x x509Encoding) jks() ([]byte, error) { return x.keystore(x.want.JKS, "JKS", keystore.JKS) }

func (x x509Encoding) keystore(k *Keystore, form string, encode func(keystore.Contents, string, io.Reader) ([]byte, error)) ([]byte, error) {
	password, err := x.password(k.Secret)
	if err != nil {
		return nil, err
	}
	if form += string(k.Encryption); k.Root {
		form += " with root"
	}
	salts, err := x.salts(form, password)
	if err != nil {
		return nil, err
	}
	c := keystore.Contents{Key: x.svid.PrivateKey, Alias: k.Alias, Chain: x.svid.Certificates, Trusted: trusted(x.svid.Bundle)}
	if c.Alias == "" {
		c.Alias = x.svid.ID.String()
	}
	if k.Root {
		if c, err = withRoot(c); err != nil {
			return nil, err
		}
	}
	return encode(c, password, salts)
}

// withRoot moves the authority that has signed the chain to the chain's end.
func withRoot(c keystore.Contents) (keystore.Contents, error) {
	last := c.Chain[len(c.Chain)-1]
	i := slices.IndexFunc(c.Trusted, func(t keystore.Trusted) bool { return last.CheckSignatureFrom(t.Cert) == nil })
	if i < 0 {
		return c, errors.New("root = true: no authority of the bundle has signed the chain's last certificate")
	}
	c.Chain = append(slices.Clone(c.Chain), c.Trusted[i].Cert)
	c.Trusted = slices.Delete(slices.Clone(c.Trusted), i, i+1)
	return c, nil
}

func (x x509Encoding) truststore() ([]byte, error) {
	return x.trustStore(x.want.Truststore, []*x509bundle.Bundle{x.svid.Bundle})
}

// trustStore encodes authorities alone.
func (r *encoding) trustStore(want *X509Bundle, bundles []*x509bundle.Bundle) ([]byte, error) {
	password, err := r.password(want.Secret)
	if err != nil {
		return nil, err
	}
	c := keystore.Contents{Trusted: trusted(bundles...)}
	if len(c.Trusted) == 0 {
		return nil, errNothing
	}
	if want.Format == FormatJKS {
		return keystore.JKS(c, password, nil) // which has no salts
	}
	// Nothing in it is secret. The password has no part in the salts: they would make
	// it quick to guess.
	content := sha256.New()
	for _, t := range c.Trusted {
		content.Write(t.Cert.Raw)
	}
	salts, err := saltsOf(content.Sum(nil), nil)
	if err != nil {
		return nil, err
	}
	return keystore.PKCS12(c, password, want.Encryption, salts)
}

// trusted are the authorities of bundles, with their names in a keystore.
func trusted(bundles ...*x509bundle.Bundle) []keystore.Trusted {
	var all []keystore.Trusted
	for _, b := range bundles {
		for i, c := range b.X509Authorities() {
			all = append(all, keystore.Trusted{Alias: fmt.Sprintf("%s-%d", b.TrustDomain().Name(), i), Cert: c})
		}
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
	return saltsOf(secret, content.Sum(nil))
}

func saltsOf(secret, content []byte) (io.Reader, error) {
	const enough = 1024 // each keystore takes about a hundred bytes
	stream, err := hkdf.Key(sha256.New, secret, content, "svidhelper keystore salts", enough)
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
