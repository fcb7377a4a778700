package unseal

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// How the files of Java's keystores begin.
var (
	jksMagic   = []byte{0xfe, 0xed, 0xfe, 0xed}
	jceksMagic = []byte{0xce, 0xce, 0xce, 0xce}
)

// IsJKS reports whether data begins as a Java KeyStore.
func IsJKS(data []byte) bool { return bytes.HasPrefix(data, jksMagic) }

// IsJCEKS reports whether data begins as the other form of Java's keystores, which
// Keystore does not know.
func IsJCEKS(data []byte) bool { return bytes.HasPrefix(data, jceksMagic) }

// IsPKCS12 reports whether data is a PFX (RFC 7292 4): a sequence that begins with
// the version, 3.
func IsPKCS12(data []byte) bool { return len(elementsOf(data)) >= 2 }

// NeedsPassword reports whether a keystore has to be opened with a password: a PFX
// that has no MAC is not.
func NeedsPassword(data []byte) bool { return IsJKS(data) || len(elementsOf(data)) != 2 }

// elementsOf are the elements of a PFX.
func elementsOf(data []byte) []asn1.RawValue {
	var elements []asn1.RawValue
	if whole(data, &elements) && len(elements) >= 2 && elements[0].Tag == asn1.TagInteger &&
		bytes.Equal(elements[0].Bytes, []byte{3}) && elements[1].Tag == asn1.TagSequence {
		return elements
	}
	return nil
}

// A Store is what a keystore holds: a key with its chain, and certificates to trust.
type Store struct {
	Key     crypto.Signer       // nil: none
	Chain   []*x509.Certificate // leaf first
	Trusted []*x509.Certificate
}

// Keystore opens a keystore with its password; the password of one that needs none is
// empty.
func Keystore(data []byte, password string) (Store, error) {
	if IsJKS(data) {
		return openJKS(data, password)
	}
	return openPKCS12(data, password)
}

// openPKCS12 opens a PKCS#12 keystore. Its certificates are not told apart by the
// library: those that have signed themselves are authorities.
func openPKCS12(data []byte, password string) (s Store, err error) {
	key, leaf, others, err := pkcs12.DecodeChain(data, password)
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return s, ErrPassword
	}
	if err != nil {
		if trusted, trustErr := pkcs12.DecodeTrustStore(data, password); trustErr == nil {
			s.Trusted = trusted
			return s, nil
		}
		return s, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return s, errors.New("its private key is of a type that is unknown here")
	}
	all := append([]*x509.Certificate{leaf}, others...)
	if i := slices.IndexFunc(all, func(cert *x509.Certificate) bool { return equal(signer.Public(), cert.PublicKey) }); i > 0 {
		all[0], all[i] = all[i], all[0]
	}
	s = Store{Key: signer, Chain: all[:1:1]}
	for _, cert := range all[1:] {
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			s.Trusted = append(s.Trusted, cert)
		} else {
			s.Chain = append(s.Chain, cert)
		}
	}
	return s, nil
}

// equal reports whether two public keys are the same.
func equal(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// MaxKey is how long a private key may be, in bytes: to check one takes time that
// grows with the cube of it.
const MaxKey = 8 << 10

// ParseKey parses PKCS#8. What the parser says of a private key is for nobody.
func ParseKey(pkcs8 []byte) (crypto.Signer, error) {
	if len(pkcs8) <= MaxKey {
		if key, err := x509.ParsePKCS8PrivateKey(pkcs8); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
	}
	return nil, errors.New("its private key does not parse")
}

// openJKS opens a Java KeyStore. What its counts say is allocated before it is
// read, so that it has to be known first who has written them.
func openJKS(data []byte, password string) (s Store, err error) {
	secret, ok := latin1(password)
	if !ok || !sealedWith(data, secret) {
		return s, ErrPassword
	}
	ks := keystore.New()
	if err := ks.Load(bytes.NewReader(data), secret); err != nil {
		return s, err
	}
	for _, alias := range ks.Aliases() {
		if ks.IsTrustedCertificateEntry(alias) {
			entry, err := ks.GetTrustedCertificateEntry(alias)
			if err != nil {
				return s, err
			}
			certs, err := x509Of(entry.Certificate)
			if err != nil {
				return s, err
			}
			s.Trusted = append(s.Trusted, certs...)
			continue
		}
		if s.Key != nil {
			return s, errors.New("it has more than one private key")
		}
		entry, err := ks.GetPrivateKeyEntry(alias, secret)
		if err != nil {
			return s, errors.New("its private key has another password than the keystore")
		}
		if s.Chain, err = x509Of(entry.CertificateChain...); err != nil {
			return s, err
		}
		if s.Key, err = ParseKey(entry.PrivateKey); err != nil {
			return s, err
		}
	}
	return s, nil
}

// latin1 has a byte for each character up to U+00FF: the library makes Java's
// characters of bytes.
func latin1(s string) (out []byte, ok bool) {
	for _, r := range s {
		if r > 0xff {
			return nil, false
		}
		out = append(out, byte(r))
	}
	return out, true
}

// sealedWith reports whether the digest at the end of a Java KeyStore is that of
// its content and the password: only a holder of the password can have written it.
func sealedWith(data, password []byte) bool {
	at := len(data) - sha1.Size
	if at < 0 {
		return false
	}
	digest := sha1.New()
	for _, b := range password { // as the library has it
		digest.Write([]byte{0, b})
	}
	digest.Write([]byte("Mighty Aphrodite"))
	digest.Write(data[:at])
	return bytes.Equal(digest.Sum(nil), data[at:])
}

// x509Of parses the certificates of an entry.
func x509Of(raw ...keystore.Certificate) (certs []*x509.Certificate, err error) {
	for _, s := range raw {
		cert, err := x509.ParseCertificate(s.Content)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}
