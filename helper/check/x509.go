package check

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// maxChain is how many certificates one SVID may have.
	maxChain = 100
	// maxRSA is the longest RSA key that is verified with, in bits: what a longer
	// one has signed takes long.
	maxRSA = 16384
	// maxListed is how many certificates or keys of one file a rule names.
	maxListed = 10
)

// x509SVID checks a chain by itself: the leaf first, then signing certificates.
func (c *checker) x509SVID(m *material) {
	i, leaf := m.item, m.certs[0]
	for _, cert := range m.certs {
		i.Certificates = append(i.Certificates, describe(cert))
	}
	i.Serial = serial(leaf.SerialNumber)
	c.leafID(m)
	if subject := len(leaf.Subject.Names) == 0; subject {
		san := extension(leaf, oidSubjectAltName)
		i.rule("X509-SVID 3.1", "no subject, and a critical subject alternative name",
			when(san != nil && !san.Critical, "without a subject, the subject alternative name has to be critical"))
	}
	i.rule("X509-SVID 4.1", "not an authority", when(leaf.IsCA, "the leaf is an authority: cA is true"))
	i.rule("X509-SVID 4.3", "key usage "+strings.Join(keyUsages(leaf.KeyUsage), ", "), slices.Concat(usageBreaches(leaf, "the key usage"), []string{
		when(leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0, "the key usage lacks digitalSignature"),
		when(leaf.KeyUsage&x509.KeyUsageCertSign != 0, "the key usage has keyCertSign, which is for authorities"),
		when(leaf.KeyUsage&x509.KeyUsageCRLSign != 0, "the key usage has cRLSign, which is for authorities"),
	})...)
	if names := extKeyUsages(leaf); len(names) == 0 {
		i.warn("X509-SVID 4.4", "no extended key usage: it should have serverAuth and clientAuth")
	} else {
		i.rule("X509-SVID 4.4", "extended key usage "+strings.Join(names, ", "),
			when(!slices.Contains(names, "serverAuth"), "the extended key usage lacks serverAuth"),
			when(!slices.Contains(names, "clientAuth"), "the extended key usage lacks clientAuth"))
	}
	i.ok("RFC 5280 4.1.2.2", "serial %s", i.Serial)
	c.times(i, "RFC 5280 4.1.2.5", leaf.NotBefore, leaf.NotAfter)
	if len(m.certs) > 1 {
		c.signing(i, m.certs[1:], "intermediate")
	}
}

// usageBreaches are what is wrong with a key usage extension as such.
func usageBreaches(cert *x509.Certificate, what string) []string {
	e := extension(cert, oidKeyUsage)
	return []string{
		when(e == nil, what+" is missing"),
		when(e != nil && !e.Critical, what+" is not critical"),
	}
}

// leafID checks the leaf's SPIFFE ID.
func (c *checker) leafID(m *material) {
	i, leaf := m.item, m.certs[0]
	if n := len(leaf.URIs); n != 1 {
		i.problem("X509-SVID 2", "%d URIs among the subject alternative names: there has to be one, the SPIFFE ID", n)
		return
	}
	id, section, err := checkID(leaf.URIs[0].String())
	if err != nil {
		i.problem(section, "the URI %q is no SPIFFE ID: %v", leaf.URIs[0], err)
		return
	}
	i.SPIFFEID = id.String()
	i.ok("X509-SVID 2", "one URI among the subject alternative names, a SPIFFE ID")
	i.rule("X509-SVID 3.1", "the SPIFFE ID has a path", when(id.Path() == "", "the SPIFFE ID is that of the trust domain: a leaf's has a path"))
	c.expectedID(m)
}

// expectedID compares the SPIFFE ID with the one that is configured.
func (c *checker) expectedID(m *material) {
	if want := m.file.Want.ID; !want.IsZero() && m.item.SPIFFEID != want.String() {
		m.item.problem("", "the configuration asks for %s", want)
	}
}

// signing checks signing certificates: those between leaf and bundle, and
// authorities.
func (c *checker) signing(i *Item, certs []*x509.Certificate, what string) {
	breaches := map[string][]string{}
	var expired, pending int
	for n, cert := range certs {
		name := fmt.Sprintf("%s %d (%s)", what, n+1, cert.Subject)
		breach := func(section string, texts ...string) {
			for _, t := range texts {
				if t != "" && len(breaches[section]) < maxListed {
					breaches[section] = append(breaches[section], name+": "+t)
				}
			}
		}
		breach("X509-SVID 4.1", when(!cert.BasicConstraintsValid || !cert.IsCA, "not an authority: cA is not true"))
		breach("X509-SVID 4.3", append(usageBreaches(cert, "its key usage"), when(cert.KeyUsage&x509.KeyUsageCertSign == 0, "its key usage lacks keyCertSign"))...)
		for _, u := range cert.URIs {
			if !isSPIFFE(u) {
				continue
			}
			id, section, err := checkID(u.String())
			if err != nil {
				breach(section, fmt.Sprintf("the URI %q is no SPIFFE ID: %v", u, err))
			} else if id.Path() != "" {
				breach("X509-SVID 3.2", fmt.Sprintf("the SPIFFE ID of a signing certificate has no path, and this is %s", id))
			}
		}
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
			breach("RFC 8017 3.1", when(key.N.BitLen() > maxRSA, fmt.Sprintf("an RSA key of %d bits: %d is the most", key.N.BitLen(), maxRSA)))
		}
		switch {
		case c.Now.After(cert.NotAfter):
			expired++
		case c.Now.Before(cert.NotBefore):
			pending++
		}
	}
	rule := func(section, kept string) { i.rule(section, kept, breaches[section]...) }
	rule("X509-SVID 4.1", fmt.Sprintf("signing certificates: %d, with cA", len(certs)))
	rule("X509-SVID 4.3", "the key usage of signing certificates has keyCertSign")
	rule("X509-SVID 3.2", "no SPIFFE ID of a signing certificate has a path")
	for section, texts := range breaches {
		if section != "X509-SVID 4.1" && section != "X509-SVID 4.3" && section != "X509-SVID 3.2" {
			rule(section, texts[0])
		}
	}
	validity := fmt.Sprintf("of %d signing certificates %d are expired and %d not valid yet", len(certs), expired, pending)
	switch {
	case expired+pending == 0:
		i.ok("RFC 5280 4.1.2.5", "all signing certificates are valid now")
	case expired+pending == len(certs):
		i.problem("RFC 5280 4.1.2.5", "%s", validity)
	default:
		i.warn("RFC 5280 4.1.2.5", "%s", validity)
	}
}

// chain verifies an SVID against the bundles of its trust domain, the first that
// verifies it.
func (c *checker) chain(m *material, trusts []trust) {
	var first error
	path := ""
	for _, t := range trusts {
		if len(t.x509) == 0 || !t.trustDomain.IsZero() && !strings.HasPrefix(m.item.SPIFFEID, t.trustDomain.IDString()+"/") {
			continue
		}
		chain, err := c.verify(m.certs, t.x509)
		if err != nil {
			if first == nil {
				first, path = err, t.path
			}
			continue
		}
		m.item.ok("X509-SVID 5.1", "the chain verifies against %s", t.path)
		c.rootDomain(m.item, chain[len(chain)-1])
		return
	}
	if first != nil {
		m.item.problem(sectionOfPath(first), "the chain does not verify against %s: %v", path, first)
		return
	}
	m.item.warn("X509-SVID 5.1", "not verified: there is no X.509 bundle for it among the files; -bundle names one")
}

// verify finds a chain to one of the authorities. What has expired is said by
// itself: here the time is one at which the leaf was valid.
func (c *checker) verify(certs, authorities []*x509.Certificate) ([]*x509.Certificate, error) {
	if len(certs) > maxChain {
		return nil, fmt.Errorf("more than %d certificates", maxChain)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range authorities {
		if small(a) {
			roots.AddCert(a)
		}
	}
	for _, i := range certs[1:] {
		if small(i) {
			between.AddCert(i)
		}
	}
	leaf := certs[0]
	at := c.Now
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	} else if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: at})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

// small reports whether what a certificate's key has signed is quickly verified.
func small(c *x509.Certificate) bool {
	k, ok := c.PublicKey.(*rsa.PublicKey)
	return !ok || k.N.BitLen() <= maxRSA
}

// sectionOfPath returns the section that a chain breaks.
func sectionOfPath(err error) string {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason {
		case x509.CANotAuthorizedForThisName, x509.NameMismatch, x509.TooManyConstraints, x509.UnconstrainedName:
			return "X509-SVID 4.2"
		case x509.NotAuthorizedToSign, x509.TooManyIntermediates:
			return "X509-SVID 4.1"
		case x509.Expired:
			return "RFC 5280 4.1.2.5"
		}
	}
	var critical x509.UnhandledCriticalExtension
	if errors.As(err, &critical) {
		return "RFC 5280 4.2"
	}
	return "X509-SVID 5.1"
}

// rootDomain looks at whose authority verified an SVID.
func (c *checker) rootDomain(i *Item, root *x509.Certificate) {
	for _, u := range root.URIs {
		if isSPIFFE(u) && u.Host != "" && !strings.HasPrefix(i.SPIFFEID, "spiffe://"+u.Host+"/") {
			i.warn("X509-SVID 3.2", "the authority that verifies it is that of another trust domain, %s", u.Host)
		}
	}
}
