package check

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/printable"
)

// x509Bundle checks the authorities of a file, and makes them a trust.
func (c *checker) x509Bundle(m *material, certs []*x509.Certificate) {
	names := map[string]bool{}
	for n, cert := range certs {
		if n < maxListed {
			m.item.Certificates = append(m.item.Certificates, describe(cert))
		}
		for _, u := range cert.URIs {
			if isSPIFFE(u) {
				names[printable.Line(u.Host, longText)] = true
			}
		}
	}
	for name := range names {
		m.item.TrustDomains = append(m.item.TrustDomains, name)
	}
	slices.Sort(m.item.TrustDomains)
	c.signing(m.item, certs, "authority")
	if len(names) > 1 {
		m.item.warn("Workload API 4.6", "authorities of %d trust domains in one file: each can issue SVIDs in the name of the others", len(names))
	}
	m.trust = append(m.trust, trust{path: m.file.Path, x509: certs})
}

// crl checks revocation lists.
func (c *checker) crl(m *material) {
	for _, l := range m.crls {
		switch {
		case l.NextUpdate.IsZero():
			m.item.warn("RFC 5280 5.1.2.5", "of %s: it does not say when the next one is due", l.Issuer)
		case l.NextUpdate.Before(c.Now):
			m.item.warn("RFC 5280 5.1.2.5", "of %s: the next one was due at %s", l.Issuer, stamp(l.NextUpdate))
		default:
			m.item.ok("RFC 5280 5.1.2.5", "of %s: %d revoked, the next one is due at %s, in %s", l.Issuer, len(l.RevokedCertificateEntries), stamp(l.NextUpdate), l.NextUpdate.Sub(c.Now).Truncate(time.Second))
		}
	}
}

// crlSignature verifies revocation lists with the authorities and intermediates
// that are there.
func (c *checker) crlSignature(m *material, trusts []trust) {
	var issuers []*x509.Certificate
	for _, t := range trusts {
		issuers = append(issuers, t.x509...)
	}
	for _, other := range c.all {
		if len(other.certs) > 1 {
			issuers = append(issuers, other.certs[1:]...)
		}
	}
	for _, l := range m.crls {
		named, err := false, error(nil)
		tried := 0
		for _, issuer := range issuers {
			if string(issuer.RawSubject) == string(l.RawIssuer) && small(issuer) && tried < maxListed {
				named, tried = true, tried+1
				if err = l.CheckSignatureFrom(issuer); err == nil {
					break
				}
			}
		}
		switch {
		case !named:
			m.item.warn("RFC 5280 6.3.3", "of %s: not verified, its issuer's certificate is not among the files", l.Issuer)
		case err != nil:
			m.item.problem("RFC 5280 6.3.3", "of %s: its issuer has not signed it: %v", l.Issuer, err)
		default:
			m.item.ok("RFC 5280 6.3.3", "of %s: signed by its issuer", l.Issuer)
		}
	}
}

// revoked looks for the leaf in the revocation lists that are there.
func (c *checker) revoked(m *material) {
	leaf := m.certs[0]
	for _, other := range c.all {
		for _, crl := range other.crls {
			if string(crl.RawIssuer) != string(leaf.RawIssuer) {
				continue
			}
			for _, e := range crl.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
					m.item.problem("RFC 5280 6.3.3", "%s says that it is revoked, since %s", other.file.Path, stamp(e.RevocationTime))
					return
				}
			}
		}
	}
}
