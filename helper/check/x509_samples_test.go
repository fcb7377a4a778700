package check_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/check"
)

// A sample is a set of files, and what is to be said of it.
type sample struct {
	name string
	set  check.Set
	// section is the one that is broken; empty: the files are good.
	section string
}

var (
	oidKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// generalNames are subject alternative names that hold one URI.
func generalNames(uri string) []asn1.RawValue {
	return []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)}}
}

// goodLeaves are what a leaf may be.
var goodLeaves = map[string]edit{
	"plain":              func(*x509.Certificate) {},
	"with DNS names":     func(c *x509.Certificate) { c.DNSNames = []string{"web", "web.example.org"} },
	"with addresses":     func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1), net.ParseIP("fd00::1")} },
	"with an e-mail":     func(c *x509.Certificate) { c.EmailAddresses = []string{"ops@example.org"} },
	"without subject":    func(c *x509.Certificate) { c.Subject = pkix.Name{} },
	"signature only":     func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature },
	"with key agreement": func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyAgreement },
	"more purposes":      func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) },
	"serial 1":           func(c *x509.Certificate) { c.SerialNumber = big.NewInt(1) },
	"serial of 20 bytes": func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(0x7f), 152) },
	"deep path":          uris("spiffe://example.org/ns/a_b/sa/C-d.e/0"),
	"without basic constraints": func(c *x509.Certificate) {
		c.BasicConstraintsValid = false
	},
	"a subject of many parts": func(c *x509.Certificate) {
		c.Subject = pkix.Name{Country: []string{"DE"}, Organization: []string{"Ex, Inc."}, OrganizationalUnit: []string{"a+b"}, CommonName: "x"}
	},
}

// badLeaves are what a leaf must not be, and the section that says so.
var badLeaves = map[string]struct {
	section string
	edit    edit
}{
	"no URI":              {"X509-SVID 2", uris()},
	"two URIs":            {"X509-SVID 2", uris("spiffe://example.org/web", "spiffe://example.org/other")},
	"a URI beside the ID": {"X509-SVID 2", uris("spiffe://example.org/web", "https://example.org")},
	"another scheme":      {"SPIFFE-ID 2", uris("https://example.org/web")},
	"a query":             {"SPIFFE-ID 2", uris("spiffe://example.org/web?a=b")},
	"a fragment":          {"SPIFFE-ID 2", uris("spiffe://example.org/web#a")},
	"upper case":          {"SPIFFE-ID 2.1", uris("spiffe://EXAMPLE.org/web")},
	"a port":              {"SPIFFE-ID 2.1", uris("spiffe://example.org:80/web")},
	"a user":              {"SPIFFE-ID 2.1", uris("spiffe://user@example.org/web")},
	"no trust domain":     {"SPIFFE-ID 2.1", uris("spiffe:///web")},
	"an empty segment":    {"SPIFFE-ID 2.2", uris("spiffe://example.org//web")},
	"a slash at the end":  {"SPIFFE-ID 2.2", uris("spiffe://example.org/web/")},
	"a dot":               {"SPIFFE-ID 2.2", uris("spiffe://example.org/./web")},
	"two dots":            {"SPIFFE-ID 2.2", uris("spiffe://example.org/a/../web")},
	"a percent":           {"SPIFFE-ID 2.2", uris("spiffe://example.org/w%65b")},
	"a tilde":             {"SPIFFE-ID 2.2", uris("spiffe://example.org/~web")},
	"too long":            {"SPIFFE-ID 2.3", uris("spiffe://example.org/" + strings.Repeat("a", 2048))},
	"no path":             {"X509-SVID 3.1", uris("spiffe://example.org")},
	"no subject, and names that are not critical": {"X509-SVID 3.1", func(c *x509.Certificate) {
		c.Subject = pkix.Name{}
		extra(oidSubjectAltName, false, generalNames("spiffe://example.org/web"))(c)
	}},
	"an authority":           {"X509-SVID 4.1", func(c *x509.Certificate) { c.IsCA = true }},
	"no key usage":           {"X509-SVID 4.3", func(c *x509.Certificate) { c.KeyUsage = 0 }},
	"key usage not critical": {"X509-SVID 4.3", extra(oidKeyUsage, false, asn1.BitString{Bytes: []byte{0xa0}, BitLength: 3})},
	"no digitalSignature":    {"X509-SVID 4.3", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }},
	"keyCertSign":            {"X509-SVID 4.3", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }},
	"cRLSign":                {"X509-SVID 4.3", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign }},
	"for servers only":       {"X509-SVID 4.4", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }},
	"for clients only":       {"X509-SVID 4.4", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }},
	"for code":               {"X509-SVID 4.4", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }},
	"for what has no name": {"X509-SVID 4.4", func(c *x509.Certificate) {
		c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
	}},
	"expired":                       {"RFC 5280 4.1.2.5", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(-time.Second) }},
	"not yet valid":                 {"RFC 5280 4.1.2.5", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }},
	"valid for less than needed":    {"RFC 5280 4.1.2.5", func(c *x509.Certificate) { c.NotAfter = now.Add(minRemaining - time.Second) }},
	"an unknown critical extension": {"RFC 5280 4.2", extra(asn1.ObjectIdentifier{1, 2, 3, 4}, true, 1)},
}

// minRemaining is what the samples are checked for.
const minRemaining = 5 * time.Minute

// x509Samples are pairs with their bundles, good and bad, for one kind of key.
func x509Samples(t testing.TB, kind string) (samples []sample) {
	root := newRoot(t)
	inter := root.intermediate(t)
	key := keyFor(t, kind, "leaf")
	add := func(name, section string, set check.Set) {
		samples = append(samples, sample{kind + ": " + name, set, section})
	}
	of := func(by issuer, between []*x509.Certificate, edits ...edit) pair {
		return pair{append([]*x509.Certificate{sign(t, leaf(edits...), key.Public(), by)}, between...), key, []*x509.Certificate{root.cert}}
	}
	direct := func(edits ...edit) pair { return of(root, nil, edits...) }
	via := func(i issuer, edits ...edit) pair { return of(i, []*x509.Certificate{i.cert}, edits...) }

	for name, edit := range goodLeaves {
		add(name, "", direct(edit).set(t))
	}
	for name, bad := range badLeaves {
		add(name, bad.section, direct(bad.edit).set(t))
	}
	for _, td := range []string{"ex_ample.org", "10.0.0.1", "a"} {
		own := newRoot(t, uris("spiffe://"+td))
		p := of(own, nil, uris("spiffe://"+td+"/web"))
		p.bundle = []*x509.Certificate{own.cert}
		add("trust domain "+td, "", p.set(t))
	}
	add("with an intermediate", "", via(inter).set(t))
	add("combined", "", combined(t, via(inter)))
	other := newKey(t, "EC P-256")
	add("another key", "SPIFFE-ID 3.2", pair{direct().chain, other, []*x509.Certificate{root.cert}}.set(t))
	stranger := direct()
	stranger.bundle = []*x509.Certificate{issuer{nil, other}.self(t)}
	add("another root", "X509-SVID 5.1", stranger.set(t))
	cut := via(inter)
	cut.chain = cut.chain[:1]
	add("without its intermediate", "X509-SVID 5.1", cut.set(t))

	for name, bad := range map[string]struct {
		section string
		edit    edit
	}{
		"not an authority":    {"X509-SVID 4.1", func(c *x509.Certificate) { c.IsCA = false; c.KeyUsage = x509.KeyUsageDigitalSignature }},
		"without key usage":   {"X509-SVID 4.3", func(c *x509.Certificate) { c.KeyUsage = 0 }},
		"without keyCertSign": {"X509-SVID 4.3", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }},
		"a path":              {"X509-SVID 3.2", uris("spiffe://example.org/authority")},
		"a bad SPIFFE ID":     {"SPIFFE-ID 2.2", uris("spiffe://example.org/")},
		"expired":             {"RFC 5280 4.1.2.5", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(-time.Minute) }},
		"for another domain": {"X509-SVID 4.2", func(c *x509.Certificate) {
			c.PermittedURIDomains, c.PermittedDNSDomainsCritical = []string{"example.com"}, true
		}},
		"key usage not critical": {"X509-SVID 4.3", extra(oidKeyUsage, false, asn1.BitString{Bytes: []byte{0x06}, BitLength: 7})},
	} {
		add("intermediate: "+name, bad.section, via(root.intermediate(t, bad.edit)).set(t))
	}
	short := newRoot(t, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	tooDeep := via(short.intermediate(t))
	tooDeep.bundle = []*x509.Certificate{short.cert}
	add("more intermediates than allowed", "X509-SVID 4.1", tooDeep.set(t))

	damaged := direct().set(t)
	damaged[0].Data = damaged[0].Data[:len(damaged[0].Data)-30]
	add("cut short", "RFC 7468 2", damaged)
	damaged = direct().set(t)
	damaged[0].Data = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("garbage")})
	add("garbage", "RFC 5280 4.1", damaged)
	damaged = direct().set(t)
	damaged[1].Data = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("garbage")})
	add("garbage for a key", "RFC 5958 2", damaged)

	revoked := direct()
	add("revoked", "RFC 5280 6.3.3", append(revoked.set(t), crl(t, root, revoked.chain[0].SerialNumber)))
	fine := direct()
	add("another one is revoked", "", append(fine.set(t), crl(t, root, big.NewInt(99))))
	return samples
}

// self returns a root of its own.
func (by issuer) self(t testing.TB) *x509.Certificate {
	return sign(t, authority("root"), by.key.Public(), by)
}

// combined has a pair in one file, key first.
func combined(t testing.TB, p pair) check.Set {
	set := p.set(t)
	return check.Set{{Path: "combined.pem", Data: bytes.Join([][]byte{set[1].Data, set[0].Data}, nil), Mode: 0o600}, set[2]}
}

func crl(t testing.TB, by issuer, serial *big.Int) check.File {
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: serial, RevocationTime: now.Add(-time.Minute)}},
	}, by.cert, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return check.File{Path: "crl.pem", Data: pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), Mode: 0o644}
}
