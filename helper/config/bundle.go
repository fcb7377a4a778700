package config

import (
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/encode"
)

// bundleFields are the keys of every block of bundles.
func bundleFields(name *encode.FileSpec, tds *[]spiffeid.TrustDomain) []field {
	return []field{
		{key: "file", doc: "its name", needed: `file = "name"`, value: file(name, false, placesOfBundle...)},
		{key: "trust_domains", doc: "instead of all", value: trustDomains(tds)},
	}
}

func x509BundleTable(x *encode.X509Bundle) *block {
	fields := append(bundleFields(&x.File, &x.TrustDomains), field{key: "format", doc: "of the file", value: constant(&x.Format, "",
		encode.FormatPEM, encode.FormatDER, encode.FormatSPIFFE, encode.FormatPKCS12, encode.FormatJKS)})
	return &block{name: "x509_bundle", fields: append(fields, secretFields(&x.Secret, &x.Encryption)...), check: func(d *decoder, at places) {
		d.checkSingle(x.Format == encode.FormatSPIFFE, &x.File, x.TrustDomains, at)
		d.checkTruststore("x509_bundle", x, at)
	}}
}

// tokenBundleTable is the table of JWT and WIT bundles.
func tokenBundleTable(name string, file *encode.FileSpec, tds *[]spiffeid.TrustDomain, format *encode.BundleFormat) *block {
	return &block{name: name, fields: append(bundleFields(file, tds),
		field{key: "format", doc: "of the file", value: constant(format, "", encode.FormatMap, encode.FormatJWKS, encode.FormatSPIFFE)},
	), check: func(d *decoder, at places) {
		d.checkSingle(*format == encode.FormatSPIFFE, file, *tds, at)
	}}
}

func spiffeBundleTable(b *encode.SPIFFEBundle) *block {
	return &block{name: "spiffe_bundle", fields: append(bundleFields(&b.File, &b.TrustDomains), []field{
		{key: "format", doc: "document (of one trust domain) or map (of all)", value: constant(&b.Format, "document", encode.FormatMap)},
		{key: "authorities", doc: "of which profiles: x509, jwt and wit", value: authorities(&b.Authorities)},
		{key: "refresh_hint", doc: "how often a document is to be fetched", value: duration(&b.RefreshHint)},
	}...), check: func(d *decoder, at places) {
		d.checkSingle(b.Format != encode.FormatMap && at.has("file"), &b.File, b.TrustDomains, at)
		switch {
		case b.Format == encode.FormatMap && at.has("refresh_hint"):
			d.errorf(at.of("refresh_hint"), "leave it out", "refresh_hint: a map has none")
		case b.RefreshHint%time.Second != 0 || at.has("refresh_hint") && b.RefreshHint == 0:
			d.errorf(at.of("refresh_hint"), `write "5m"`, "refresh_hint: want whole seconds, and at least one")
		}
	}}
}

// checkSingle sees that a SPIFFE bundle is of one trust domain.
func (d *decoder) checkSingle(single bool, file *encode.FileSpec, tds []spiffeid.TrustDomain, at places) {
	if single && len(tds) != 1 && !file.Has(encode.PlaceTrustDomain) {
		d.errorf(at.of("format", "file"), `write trust_domains = ["example.org"], or {trust_domain} in the file's name`, "a SPIFFE bundle is of exactly one trust domain")
	}
}

func authorities(dst *[]encode.Authority) scalar {
	var words []word[encode.Authority]
	for _, a := range []encode.Authority{encode.AuthorityX509, encode.AuthorityJWT, encode.AuthorityWIT} {
		words = append(words, word[encode.Authority]{string(a), a})
	}
	list := listOf(dst, distinct(dst, func(d *decoder, n *node) (encode.Authority, bool) { return oneOf(d, n, words) }),
		func(a encode.Authority) string { return quote(string(a)) })
	list.form = func() schema { return oneOrMany(schema{"enum": textsOf(words)}) }
	return list
}

func trustDomains(dst *[]spiffeid.TrustDomain) scalar {
	return listOf(dst, distinct(dst, textParser[spiffeid.TrustDomain](func(_ *decoder, s string) (spiffeid.TrustDomain, string, error) {
		td, err := spiffeid.TrustDomainFromString(s)
		if err != nil {
			err = fmt.Errorf("trust domain %q: %w", s, err)
		}
		return td, `write "example.org"`, err
	}).element), func(td spiffeid.TrustDomain) string { return quote(td.Name()) })
}
