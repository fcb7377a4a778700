package check

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// How the files of Java's keystores begin.
var (
	jksMagic   = []byte{0xfe, 0xed, 0xfe, 0xed}
	jceksMagic = []byte{0xce, 0xce, 0xce, 0xce}
)

// keystorePatience is how long it may take to open a keystore. How long it takes
// is written in the keystore itself, as a count of iterations.
const keystorePatience = 10 * time.Second

// A store is what a keystore holds: a key with its chain, and certificates to
// trust.
type store struct {
	key     crypto.Signer
	chain   []*x509.Certificate
	trusted []*x509.Certificate
	err     error
}

// keystore opens a keystore, and checks what is in it as if it stood in files.
func (c *checker) keystore(m *material) {
	if bytes.HasPrefix(m.file.Data, jceksMagic) {
		m.item.warn("", "JCEKS: not looked at; JKS and PKCS#12 are")
		return
	}
	if m.file.Want.Password == nil {
		m.item.warn("", "not opened: -password-file names a file that holds its password")
		return
	}
	section, open := "RFC 7292 4", openPKCS12
	if bytes.HasPrefix(m.file.Data, jksMagic) {
		section, open = "", openJKS
	}
	if c.impatient {
		m.item.problem("", "not opened: another keystore takes too long; check this one by itself")
		return
	}
	s := inTime(keystorePatience, func() store { return open(m.file.Data, *m.file.Want.Password) })
	c.impatient = errors.Is(s.err, errSlow)
	if s.err != nil {
		m.item.problem(section, "it cannot be opened: %v", s.err)
		return
	}
	m.item.ok(section, "opened with its password")
	m.key = s.key
	if len(s.trusted) > 0 {
		m.trust = append(m.trust, trust{path: m.file.Path, x509: s.trusted})
	}
	if len(s.chain) > 0 {
		m.certs = s.chain
		c.x509SVID(m)
	}
	if len(s.trusted) > 0 {
		c.signing(m.item, s.trusted, "authority")
	}
}

var errSlow = errors.New("it takes longer")

// inTime opens a keystore, or gives up: what has begun ends by itself, too late.
func inTime(patience time.Duration, open func() store) store {
	opened := make(chan store, 1)
	go func() { opened <- open() }()
	select {
	case s := <-opened:
		return s
	case <-time.After(patience):
		return store{err: fmt.Errorf("%w than %v", errSlow, patience)}
	}
}

var errPassword = errors.New("its password is another one, or it is damaged")

// openPKCS12 opens a PKCS#12 keystore. Its certificates are not told apart by the
// library: those that have signed themselves are authorities.
func openPKCS12(data []byte, password string) (s store) {
	key, leaf, others, err := pkcs12.DecodeChain(data, password)
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return store{err: errPassword}
	}
	if err != nil {
		if trusted, trustErr := pkcs12.DecodeTrustStore(data, password); trustErr == nil {
			return store{trusted: trusted}
		}
		return store{err: err}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return store{err: errors.New("its private key is of a type that is unknown here")}
	}
	all := append([]*x509.Certificate{leaf}, others...)
	if i := slices.IndexFunc(all, func(c *x509.Certificate) bool { return samePublic(signer.Public(), c.PublicKey) }); i > 0 {
		all[0], all[i] = all[i], all[0]
	}
	s = store{key: signer, chain: all[:1:1]}
	for _, cert := range all[1:] {
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			s.trusted = append(s.trusted, cert)
		} else {
			s.chain = append(s.chain, cert)
		}
	}
	return s
}

// parsePKCS8 parses a private key. What the parser says of one is for nobody.
func parsePKCS8(der []byte) (crypto.Signer, error) {
	if len(der) <= maxKey {
		if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
	}
	return nil, errors.New("its private key does not parse")
}

// openJKS opens a Java KeyStore. What its counts say is allocated before it is
// read, so that it has to be known first who has written them.
func openJKS(data []byte, password string) (s store) {
	if !sealedWith(data, password) {
		return store{err: errPassword}
	}
	ks := keystore.New()
	if err := ks.Load(bytes.NewReader(data), []byte(password)); err != nil {
		return store{err: err}
	}
	for _, alias := range ks.Aliases() {
		if ks.IsTrustedCertificateEntry(alias) {
			entry, err := ks.GetTrustedCertificateEntry(alias)
			if err == nil {
				var certs []*x509.Certificate
				certs, err = x509Of([][]byte{entry.Certificate.Content})
				s.trusted = append(s.trusted, certs...)
			}
			if err != nil {
				return store{err: err}
			}
			continue
		}
		if s.key != nil {
			return store{err: errors.New("it has more than one private key")}
		}
		entry, err := ks.GetPrivateKeyEntry(alias, []byte(password))
		if err != nil {
			return store{err: errors.New("its private key has another password than the keystore")}
		}
		var chain [][]byte
		for _, cert := range entry.CertificateChain {
			chain = append(chain, cert.Content)
		}
		if s.chain, err = x509Of(chain); err != nil {
			return store{err: err}
		}
		if s.key, err = parsePKCS8(entry.PrivateKey); err != nil {
			return store{err: err}
		}
	}
	return s
}

// sealedWith reports whether the digest at the end of a Java KeyStore is that of
// its content and the password: only a holder of the password can have written it.
func sealedWith(data []byte, password string) bool {
	at := len(data) - sha1.Size
	if at < 0 {
		return false
	}
	digest := sha1.New()
	for _, b := range []byte(password) { // as the library has it
		digest.Write([]byte{0, b})
	}
	digest.Write([]byte("Mighty Aphrodite"))
	digest.Write(data[:at])
	return bytes.Equal(digest.Sum(nil), data[at:])
}

// x509Of returns the certificates of raw DER.
func x509Of(raw [][]byte) (certs []*x509.Certificate, err error) {
	for _, der := range raw {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}
