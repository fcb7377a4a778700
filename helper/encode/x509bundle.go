package encode

import (
	"crypto/x509"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// bundleOf encodes one bundle, in the order of its authorities.
func (r *encoding) bundleOf(b *x509bundle.Bundle, encoding Encoding, omitExpired bool) ([]byte, error) {
	form, from := "bundle "+string(encoding), []any{b}
	if omitExpired {
		form, from = form+" unexpired", append(from, len(r.unexpired(b.X509Authorities())))
	}
	return r.recall(form, b.TrustDomain().Name(), from, func() ([]byte, error) {
		certs := b.X509Authorities()
		if omitExpired {
			certs = r.unexpired(certs)
		}
		if len(certs) == 0 {
			return nil, errNothing
		}
		return encodeCerts(certs, encoding), nil
	})
}

// unexpired returns the certificates that have not expired.
func (r *encoding) unexpired(certs []*x509.Certificate) []*x509.Certificate {
	var kept []*x509.Certificate
	for _, c := range certs {
		if !r.now.After(c.NotAfter) {
			kept = append(kept, c)
		}
	}
	return kept
}

func (r *encoding) x509Bundle(sel Selection, answer *snapshot.X509Bundles) (absent bool, err error) {
	want := &r.output.X509Bundles[sel.Index]
	bundles := choose(r, sel, "X.509 bundle", answer.Bundles, want.TrustDomains)
	return false, files(r, sel, want.File, want.TrustDomains, bundles, func(f FileSpec, bundles []*x509bundle.Bundle) error {
		return r.x509BundleFile(sel, want, f, bundles)
	})
}

func (r *encoding) x509BundleFile(sel Selection, want *X509Bundle, file FileSpec, bundles []*x509bundle.Bundle) error {
	from := pointers(bundles)
	if want.Secret != (Secret{}) {
		password, err := r.password(want.Secret)
		from = append(from, password, err == nil)
	}
	data, err := r.recall("file", file.Name, from, func() ([]byte, error) {
		switch want.Format {
		case FormatPKCS12, FormatJKS:
			return r.trustStore(want, bundles)
		case FormatDefault, FormatPEM, FormatDER:
			var out []byte
			for _, b := range bundles {
				part, err := r.bundleOf(b, want.encoding(), false)
				if err != nil && err != errNothing {
					return nil, err
				}
				out = append(out, part...)
			}
			return out, nil
		case FormatSPIFFE:
			b, err := single(bundles)
			if err != nil {
				return nil, err
			}
			return marshalJWKS(x509Keys(b))
		}
		return nil, errFormat("X.509", want.Format)
	})
	if err != nil && err != errNothing {
		return err
	}
	if len(data) == 0 {
		if len(want.TrustDomains) == 0 && !want.File.Varies() {
			r.lack(sel, r.output.Describe(sel))
		}
		return nil
	}
	return r.add(file, snapshot.KindBundle, false, data)
}
