package devapi

import (
	"crypto/x509"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// A domain is a trust domain with its authorities, oldest first. The newest
// one issues.
type domain struct {
	name        spiffeid.TrustDomain
	algorithm   JWTAlgorithm
	authorities []*Authority
	revoked     []x509.RevocationListEntry
	crls        [][]byte // one for each authority; nil: none
	crlNumber   int64
}

func (d *domain) issuer() *Authority { return d.authorities[len(d.authorities)-1] }

// reissueCRLs makes a list for each authority. Each has every entry of the
// trust domain: one too many does no harm.
func (d *domain) reissueCRLs(c Config) error {
	d.crlNumber++
	var crls [][]byte
	for _, a := range d.authorities {
		crl, err := a.IssueCRL(d.crlNumber, c.Now().Add(-backdate), d.revoked)
		if err != nil {
			return err
		}
		crls = append(crls, crl)
	}
	d.crls = crls
	return nil
}

// bundles are what a set of trust domains looks like in the four answers that
// carry bundles, and to go-spiffe. One never changes once it is made.
type bundles struct {
	x509      *workload.X509BundlesResponse
	jwt       *workload.JWTBundlesResponse
	wit       *workload.WITBundlesResponse
	federated map[string][]byte // of X.509

	x509Set *x509bundle.Set
	jwtSet  *jwtbundle.Set
	witSet  *witbundle.Set
}

func newBundles() *bundles {
	return &bundles{
		x509:      &workload.X509BundlesResponse{Bundles: make(map[string][]byte)},
		jwt:       &workload.JWTBundlesResponse{Bundles: make(map[string][]byte)},
		wit:       &workload.WITBundlesResponse{Bundles: make(map[string]string)},
		federated: make(map[string][]byte),
		x509Set:   x509bundle.NewSet(),
		jwtSet:    jwtbundle.NewSet(),
		witSet:    witbundle.NewSet(),
	}
}

// add encodes a trust domain, unless that has been done.
func (b *bundles) add(d *domain) error {
	if b.x509Set.Has(d.name) {
		return nil
	}
	var (
		der      []byte
		jwtKeys  []jose.JSONWebKey
		witKeys  []jose.JSONWebKey
		x509Auth = x509bundle.New(d.name)
		jwtAuth  = jwtbundle.New(d.name)
		witAuth  = witbundle.New(d.name)
	)
	for _, a := range d.authorities {
		der = append(der, a.root.Raw...)
		jwtKeys = append(jwtKeys, a.jwt.public)
		witKeys = append(witKeys, a.wit.public)
		x509Auth.AddX509Authority(a.root)
		if err := jwtAuth.AddJWTAuthority(a.jwt.id, a.jwt.publicKey()); err != nil {
			return err
		}
		if err := witAuth.AddWITAuthority(a.wit.id, a.wit.publicKey()); err != nil {
			return err
		}
	}
	jwtDoc, err := jwks(jwtKeys)
	if err != nil {
		return err
	}
	witDoc, err := jwks(witKeys)
	if err != nil {
		return err
	}
	key := d.name.IDString()
	b.x509.Bundles[key] = der
	b.x509.Crl = append(b.x509.Crl, d.crls...)
	b.jwt.Bundles[key] = jwtDoc
	b.wit.Bundles[key] = string(witDoc)
	b.x509Set.Add(x509Auth)
	b.jwtSet.Add(jwtAuth)
	b.witSet.Add(witAuth)
	return nil
}
