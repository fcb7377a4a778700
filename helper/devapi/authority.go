package devapi

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// organization is the subject of everything issued here, so that such a certificate
// in the wrong place says what it is.
const organization = "svidhelper dev: for development only"

// backdate allows for clocks that are a little behind.
const backdate = 10 * time.Second

// An Authority issues SVIDs for one trust domain: one X.509 authority, one JWT
// authority, one WIT authority. Its keys are never stored.
type Authority struct {
	trustDomain   spiffeid.TrustDomain
	root          *x509.Certificate
	intermediates []byte            // DER, between leaf and root
	issuer        *x509.Certificate // the intermediate or the root
	signer        crypto.Signer     // of issuer
	jwt, wit      *tokenKey
}

// AuthorityOptions say how an Authority is made; the zero value will do.
type AuthorityOptions struct {
	// NotBefore and NotAfter bound the X.509 authority; the defaults are a
	// moment ago and a year from now.
	NotBefore, NotAfter time.Time
	Intermediate        bool
	JWTAlgorithm        JWTAlgorithm
}

// NewAuthority makes the keys and certificates of an authority.
func NewAuthority(td spiffeid.TrustDomain, o AuthorityOptions) (*Authority, error) {
	if o.NotBefore.IsZero() {
		o.NotBefore = time.Now().Add(-backdate)
	}
	if o.NotAfter.IsZero() {
		o.NotAfter = o.NotBefore.AddDate(1, 0, 0)
	}
	a := &Authority{trustDomain: td}
	if err := a.makeRoot(o); err != nil {
		return nil, fmt.Errorf("making the X.509 authority of %s: %w", td, err)
	}
	if o.Intermediate {
		if err := a.makeIntermediate(o); err != nil {
			return nil, fmt.Errorf("making the intermediate of %s: %w", td, err)
		}
	}
	var err error
	if a.jwt, err = newTokenKey(o.JWTAlgorithm, "JWT", ""); err != nil {
		return nil, fmt.Errorf("making the JWT authority of %s: %w", td, err)
	}
	if a.wit, err = newTokenKey(ES256, "wit+jwt", "wit-svid"); err != nil {
		return nil, fmt.Errorf("making the WIT authority of %s: %w", td, err)
	}
	return a, nil
}

// signingCertificate returns the template of a signing certificate (X509-SVID
// 3.2): its URI SAN is the trust domain's SPIFFE ID, without a path. As a SPIRE server
// does, it puts the serial number into the subject, so that no two have the same.
func (a *Authority) signingCertificate(name string, o AuthorityOptions) *x509.Certificate {
	serial := newSerial()
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: name, SerialNumber: serial.String()},
		URIs:                  []*url.URL{a.trustDomain.ID().URL()},
		NotBefore:             o.NotBefore,
		NotAfter:              o.NotAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func (a *Authority) makeRoot(o AuthorityOptions) error {
	key, err := ECP256.Generate()
	if err != nil {
		return err
	}
	template := a.signingCertificate("throwaway authority of "+a.trustDomain.Name(), o)
	if a.root, err = sign(template, template, key.Public(), key); err != nil {
		return err
	}
	a.issuer, a.signer = a.root, key
	return nil
}

func (a *Authority) makeIntermediate(o AuthorityOptions) error {
	key, err := ECP256.Generate()
	if err != nil {
		return err
	}
	template := a.signingCertificate("throwaway intermediate of "+a.trustDomain.Name(), o)
	cert, err := sign(template, a.root, key.Public(), a.signer)
	if err != nil {
		return err
	}
	a.intermediates, a.issuer, a.signer = cert.Raw, cert, key
	return nil
}

// TrustDomain returns the trust domain that the authority speaks for.
func (a *Authority) TrustDomain() spiffeid.TrustDomain { return a.trustDomain }

// X509Authority returns the certificate that belongs into the bundle.
func (a *Authority) X509Authority() *x509.Certificate { return a.root }

// IssueX509SVID issues an X.509-SVID with a new key, as it stands in an answer,
// its bundle being this authority alone. It issues for foreign trust domains
// too, and what edit makes of the leaf: a test may want the wrong one.
func (a *Authority) IssueX509SVID(id Identity, notBefore, notAfter time.Time, edit ...func(*x509.Certificate)) (*workload.X509SVID, error) {
	key, err := id.KeyType.Generate()
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", id.ID, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key of %s: %w", id.ID, err)
	}
	template := leaf(id, notBefore, notAfter)
	if template.SubjectKeyId, err = keyID(key.Public()); err != nil {
		return nil, fmt.Errorf("naming the key of %s: %w", id.ID, err)
	}
	for _, e := range edit {
		e(template)
	}
	cert, err := sign(template, a.issuer, key.Public(), a.signer)
	if err != nil {
		return nil, fmt.Errorf("issuing an X.509-SVID for %s: %w", id.ID, err)
	}
	return &workload.X509SVID{
		SpiffeId:    id.ID.String(),
		X509Svid:    append(cert.Raw, a.intermediates...),
		X509SvidKey: pkcs8,
		Bundle:      a.root.Raw,
		Hint:        id.Hint,
	}, nil
}

// leaf returns the template of a leaf (X509-SVID 2 and 4.3): one URI SAN, no
// authority of its own, and the key usage that a SPIRE server gives.
func leaf(id Identity, notBefore, notAfter time.Time) *x509.Certificate {
	subject := pkix.Name{Organization: []string{organization}}
	if len(id.DNS) > 0 {
		subject.CommonName = id.DNS[0]
	}
	return &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               subject,
		URIs:                  []*url.URL{id.ID.URL()},
		DNSNames:              id.DNS,
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// keyID names a key by the first 160 bits of its hash (RFC 7093 2).
func keyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(info.PublicKey.RightAlign())
	return sum[:20], nil
}

// IssueCRL issues a certificate revocation list with the given entries, as DER.
func (a *Authority) IssueCRL(number int64, thisUpdate time.Time, revoked []x509.RevocationListEntry) ([]byte, error) {
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number:                    big.NewInt(number),
		ThisUpdate:                thisUpdate,
		NextUpdate:                a.issuer.NotAfter,
		RevokedCertificateEntries: revoked,
	}, a.issuer, a.signer)
	if err != nil {
		return nil, fmt.Errorf("issuing a revocation list for %s: %w", a.trustDomain, err)
	}
	return der, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// newSerial returns a positive number of 127 random bits.
func newSerial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

// fullSecond rounds up: the formats know full seconds only, and a lifetime of
// one second must not come out as none.
func fullSecond(t time.Time) time.Time {
	return t.Add(time.Second - 1).Truncate(time.Second)
}
