package check

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// A Certificate is what a certificate says.
type Certificate struct {
	Subject   string    `json:"subject"` // RFC 2253
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`

	URIs           []string `json:"uris,omitempty"`
	DNSNames       []string `json:"dns_names,omitempty"`
	IPAddresses    []string `json:"ip_addresses,omitempty"`
	EmailAddresses []string `json:"email_addresses,omitempty"`

	CA          bool     `json:"ca"`
	PathLen     *int     `json:"path_len,omitempty"`
	KeyUsage    []string `json:"key_usage,omitempty"`
	ExtKeyUsage []string `json:"ext_key_usage,omitempty"`
	Critical    []string `json:"critical,omitempty"` // object identifiers of extensions

	SubjectKeyID       string `json:"subject_key_id,omitempty"`
	AuthorityKeyID     string `json:"authority_key_id,omitempty"`
	PublicKey          string `json:"public_key"`
	SignatureAlgorithm string `json:"signature_algorithm"`
	SHA256             string `json:"sha256"`
}

func describe(c *x509.Certificate) Certificate {
	d := Certificate{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: serial(c.SerialNumber),
		NotBefore: min9999(c.NotBefore), NotAfter: min9999(c.NotAfter),
		DNSNames: c.DNSNames, EmailAddresses: c.EmailAddresses, CA: c.BasicConstraintsValid && c.IsCA,
		KeyUsage: keyUsages(c.KeyUsage), ExtKeyUsage: extKeyUsages(c),
		SubjectKeyID: fmt.Sprintf("%X", c.SubjectKeyId), AuthorityKeyID: fmt.Sprintf("%X", c.AuthorityKeyId),
		PublicKey: publicKey(c.PublicKey), SignatureAlgorithm: c.SignatureAlgorithm.String(),
		SHA256: fmt.Sprintf("%X", sha256.Sum256(c.Raw)),
	}
	for _, u := range c.URIs {
		d.URIs = append(d.URIs, u.String())
	}
	for _, ip := range c.IPAddresses {
		d.IPAddresses = append(d.IPAddresses, ip.String())
	}
	if d.CA && (c.MaxPathLen > 0 || c.MaxPathLenZero) {
		d.PathLen = &c.MaxPathLen
	}
	for _, e := range c.Extensions {
		if e.Critical {
			d.Critical = append(d.Critical, e.Id.String())
		}
	}
	return d
}

// min9999 returns a time that JSON can say.
func min9999(t time.Time) time.Time {
	if t = t.UTC(); t.After(lastSecond) {
		return lastSecond
	}
	return t
}

// serial is a serial number as openssl prints it: whole bytes.
func serial(n *big.Int) string {
	text := fmt.Sprintf("%X", n)
	if len(text)%2 == 1 {
		return "0" + text
	}
	return text
}

func publicKey(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + k.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}

// keyUsages are the names of RFC 5280 4.2.1.3, in the order of the bits.
func keyUsages(u x509.KeyUsage) (names []string) {
	for bit, name := range []string{
		"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
	} {
		if u&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// extKeyUsages are the names of RFC 5280 4.2.1.12, and the object identifiers of
// those that have none there.
func extKeyUsages(c *x509.Certificate) (names []string) {
	known := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageAny: "anyExtendedKeyUsage", x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth",
		x509.ExtKeyUsageCodeSigning: "codeSigning", x509.ExtKeyUsageEmailProtection: "emailProtection",
		x509.ExtKeyUsageTimeStamping: "timeStamping", x509.ExtKeyUsageOCSPSigning: "OCSPSigning",
	}
	for _, u := range c.ExtKeyUsage {
		if name := known[u]; name != "" {
			names = append(names, name)
		} else {
			names = append(names, u.OID().String())
		}
	}
	for _, id := range c.UnknownExtKeyUsage {
		names = append(names, id.String())
	}
	return names
}

// The extensions whose criticality matters.
var (
	oidKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// extension returns a certificate's extension, or nil.
func extension(c *x509.Certificate, id asn1.ObjectIdentifier) *pkix.Extension {
	for i := range c.Extensions {
		if c.Extensions[i].Id.Equal(id) {
			return &c.Extensions[i]
		}
	}
	return nil
}
