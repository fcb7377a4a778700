package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// The names that x509_svid has when it names no file; they are those that most
// helper.conf files have.
const (
	defaultCert      = "svid.pem"
	defaultKey       = "svid_key.pem"
	defaultBundle    = "svid_bundle.pem"
	defaultFederated = "{trust_domain}.pem"
)

// The placeholders that mean something in the names of the files of a block.
var (
	placesOfSVID      = []encode.Placeholder{encode.PlaceTrustDomain, encode.PlaceID, encode.PlaceHint, encode.PlaceIndex, encode.PlaceFurther}
	placesOfToken     = placesOfSVID[:3]
	placesOfBundle    = placesOfSVID[:1]
	placesOfFederated = []encode.Placeholder{encode.PlaceTrustDomain, encode.PlaceIndex, encode.PlaceNumber}
)

func outputTable(o *encode.Output) *block {
	return &block{name: "output", label: &o.Dir, labelWant: "a directory", labelExample: "/run/tls", fields: []field{
		{key: "preset", doc: "a service whose defaults are meant", value: presetKey()},
		{key: "publish", doc: "how new files become visible: symlink (all in one instant), rename (one by one) or in-place",
			value: publishMode(&o.Publish)},
		{key: "dir", doc: "the directory, where the block's name is only a name", value: directoryKey{text(&o.Dir)}},
		{key: "set", doc: "a name that tells the files of several helpers in one directory apart", value: checked(&o.Set, func(s string) (string, error) { return `write set = "name"`, writer.CheckSet(s) })},
		{key: "owner", doc: "name or number", value: text(&o.Owner)},
		{key: "group", doc: "name or number", value: text(&o.Group)},
		{key: "file_mode", doc: "of certificates and bundles", value: mode(&o.FileMode)},
		{key: "key_mode", doc: "of private keys and tokens", value: mode(&o.KeyMode)},
		{key: "dir_mode", doc: "of the directory", value: mode(&o.DirMode)},
		{key: "fsync", doc: "whether a power cut can damage the files", value: boolean(&o.NoFsync, false)},
		{key: "manifest", doc: "SPIFFE IDs, serials, validity and files, as JSON", value: file(&o.Manifest, false)},
		{key: "bundle_first", doc: "a new authority is there, and has arrived, before the leaf that it issued", value: boolean(&o.Trust.First, true)},
		{key: "bundle_lead", doc: "how long before, at least: for peers that hear of it later", value: durationUnless(&o.Trust.Lead, func() time.Duration { return defaults(&o.Trust).Lead })},
		{key: "bundle_linger", doc: "how long an authority stays that has left", value: durationUnless(&o.Trust.Linger, func() time.Duration { return defaults(&o.Trust).Linger })},
		{key: "layout", doc: "names that others know: spiffe (of a draft) or spire-agent", value: layoutKey},
		{key: "x509_svid", doc: "an X.509-SVID, its private key and its bundle", value: many[encode.X509SVID]{&o.X509SVIDs, x509SVIDTable}},
		{key: "jwt_svid", doc: "a JWT-SVID", value: many[encode.JWTSVID]{&o.JWTSVIDs, jwtSVIDTable}},
		{key: "wit_svid", doc: "a WIT-SVID and its private key", value: many[encode.WITSVID]{&o.WITSVIDs, witSVIDTable}},
		{key: "x509_bundle", doc: "the X.509 authorities of trust domains", value: many[encode.X509Bundle]{&o.X509Bundles, x509BundleTable}},
		{key: "jwt_bundle", doc: "the JWT authorities of trust domains", value: many[encode.JWTBundle]{&o.JWTBundles, func(j *encode.JWTBundle) *block {
			return tokenBundleTable("jwt_bundle", &j.File, &j.TrustDomains, &j.Format)
		}}},
		{key: "wit_bundle", doc: "the WIT authorities of trust domains", value: many[encode.WITBundle]{&o.WITBundles, func(w *encode.WITBundle) *block {
			return tokenBundleTable("wit_bundle", &w.File, &w.TrustDomains, &w.Format)
		}}},
		{key: "spiffe_bundle", doc: "all authorities of trust domains, as SPIFFE bundles", value: many[encode.SPIFFEBundle]{&o.SPIFFEBundles, spiffeBundleTable}},
		{key: "template", doc: "a file that a text/template makes of what is in the others", value: many[encode.Template]{&o.Templates, templateTable}},
	}, check: func(d *decoder, at places) {
		d.layOut(o, at)
		files := d.files
		d.files = nil
		d.checkOutput(o, at, files)
	}}
}

// takeOutput refuses two outputs with one directory and one set.
func (d *decoder) takeOutput(o *encode.Output, at span) {
	name := filepath.Clean(o.Dir)
	if o.Set != "" {
		name += " with set " + o.Set
	}
	d.take("output", name, at)
}

func publishMode(dst *writer.Mode) scalar {
	return constant(dst, "", writer.ModeSymlink, writer.ModeRename, writer.ModeInPlace)
}

// directoryKey takes the place of an output's name, which HCL 2 does not
// interpolate. It is printed where a variable has part in it.
type directoryKey struct{ scalar }

func (v directoryKey) print(p *printer, f field) {
	if _, ok := p.written[f.key+" = "+v.literal()]; ok || p.written == nil {
		v.scalar.print(p, f)
	}
}

func (d *decoder) checkOutput(o *encode.Output, at places, files []namedFile) {
	switch {
	case o.Dir == "":
		d.errorf(at.block, `write output "/run/tls" { … }`, "an output needs a directory")
	case hasControl(o.Dir):
		d.errorf(at.block, "", "the output's directory has a control character")
	case !at.odd && o.Kinds() == snapshot.KindNone:
		d.errorf(at.block, "write x509_svid { } for certificate, key and bundle", "output %q holds nothing", o.Dir)
	}
	if o.Dir != "" {
		d.takeOutput(o, at.block)
	}
	d.checkFiles(o, append(files, d.checkTemplates(o)...))
	d.checkTrust(&o.Trust, at)
	d.only(at, []string{"owner", "group"}, d.goos != "windows", "not on Windows")
	d.only(at, []string{"publish"}, d.goos != "windows" || o.Publish != writer.ModeSymlink, `on Windows, write "rename"`)
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// checkFiles refuses names that collide, and warns of secrets that everybody
// may read.
func (d *decoder) checkFiles(o *encode.Output, files []namedFile) {
	first, taken := map[string]namedFile{}, writer.Names{}
	for _, f := range files {
		if g, twice := first[f.Name]; twice {
			d.errorf(f.at, "give each a name of its own", "%s: %q is already the name of %s, line %d", f.key, f.Name, g.key, d.line(g.at))
		} else if err := taken.Take(f.Name); err != nil {
			d.errorf(f.at, "", "%s: %v", f.key, err)
		}
		first[f.Name] = f
		mode := f.Mode
		if mode == 0 && f.secret {
			mode = o.KeyMode
		}
		if f.secret && mode&0o007 != 0 {
			d.warnf(f.at, "write 0600, or 0640 and a group", "%s: everybody can use %q, which holds a secret: mode %04o", f.key, f.Name, mode)
		}
	}
}

func x509SVIDTable(x *encode.X509SVID) *block {
	return &block{name: "x509_svid", fields: append(selectorFields(&x.Select), []field{
		{key: "allow", doc: "patterns of SPIFFE IDs; any other is refused", value: texts(&x.Allow)},
		{key: "cert", doc: "leaf, then intermediates, PEM", value: file(&x.Cert, false, placesOfSVID...)},
		{key: "key", doc: "private key, PEM", value: file(&x.Key, true, placesOfSVID...)},
		{key: "bundle", doc: "X.509 authorities of the SVID's trust domain, PEM", value: file(&x.Bundle, false, placesOfSVID...)},
		{key: "combined", doc: "key, then chain, PEM", value: file(&x.Combined, true, placesOfSVID...)},
		{key: "crl", doc: "certificate revocation lists, PEM", value: file(&x.CRL, false, placesOfSVID...)},
		{key: "hints", doc: "the hint, number and fingerprint of each SVID, as JSON", value: file(&x.Hints, false)},
		{key: "encoding", doc: "of cert, key and bundle: pem or der", value: constant(&x.Encoding, "pem", encode.EncodingDER)},
		{key: "key_encoding", doc: "pkcs8, or traditional: SEC 1 or PKCS#1", value: constant(&x.KeyEncoding, "pkcs8", encode.KeyTraditional)},
		{key: "key_password", doc: "encrypts the private key; key_password_file is better", value: password(&x.KeySecret.Password, "key_password_file")},
		{key: "key_password_file", doc: "read at each publish", value: text(&x.KeySecret.PasswordFile)},
		{key: "pkcs12", doc: "key, chain and bundle, PKCS#12", value: one[encode.Keystore]{&x.PKCS12, pkcs12Table}},
		{key: "jks", doc: "key, chain and bundle, Java KeyStore", value: one[encode.Keystore]{&x.JKS, jksTable}},
		{key: "truststore", doc: "the bundle alone, PKCS#12 or Java KeyStore", value: one[encode.X509Bundle]{&x.Truststore, truststoreTable}},
		{key: "federated_bundles", doc: "foreign trust domains' bundles: none, a file each (separate), or appended to ours (merge)", value: constant(&x.Federated, "none", encode.FederatedSeparate, encode.FederatedMerge)},
		{key: "federated_file", doc: "the name of each foreign bundle", value: file(&x.FederatedFile, false, placesOfFederated...)},
		{key: "intermediates_in_bundle", doc: "intermediates stand in the bundle, not behind the leaf", value: boolean(&x.IntermediatesInBundle, true)},
		{key: "omit_expired", doc: "expired authorities are left out", value: boolean(&x.OmitExpired, true)},
	}...), check: func(d *decoder, at places) { d.checkX509SVID(x, at) }}
}

func (d *decoder) checkX509SVID(x *encode.X509SVID, at places) {
	keys := []string{"cert", "key", "bundle", "combined", "crl", "pkcs12", "jks", "truststore"}
	files := []*encode.FileSpec{&x.Cert, &x.Key, &x.Bundle, &x.Combined, &x.CRL, keystoreFile(x.PKCS12), keystoreFile(x.JKS), truststoreFile(x.Truststore)}
	if !slices.ContainsFunc(keys, at.has) {
		x.Cert.Name, x.Key.Name, x.Bundle.Name = defaultCert, defaultKey, defaultBundle
		d.files = append(d.files, namedFile{x.Cert, "cert", at.block, false}, namedFile{x.Key, "key", at.block, true}, namedFile{x.Bundle, "bundle", at.block, false})
	}
	d.checkSelector(&x.Select, at)
	d.checkFederated(x, at)
	d.checkForms(x, at)
	for i, key := range keys {
		d.checkPlaceholder(files[i], x.Select.All, at.of(key), key)
	}
	for _, pattern := range x.Allow {
		if err := encode.CheckPattern(pattern); err != nil {
			d.errorf(at.of("allow"), `write allow = ["spiffe://example.org/web"]`, "allow: %v", err)
		}
	}
}

func (d *decoder) checkFederated(x *encode.X509SVID, at places) {
	switch {
	case x.Federated == encode.FederatedSeparate && !x.FederatedFile.Wanted():
		x.FederatedFile.Name = defaultFederated
		d.files = append(d.files, namedFile{x.FederatedFile, "federated_file", at.of("federated_bundles"), false})
	case x.Federated == encode.FederatedSeparate && !x.FederatedFile.Has(encode.PlaceTrustDomain) && !x.FederatedFile.Has(encode.PlaceNumber):
		d.errorf(at.of("federated_file"), "write "+quote(defaultFederated), "federated_file needs {trust_domain} or {n} in its name: each trust domain has a file")
	case x.Federated != encode.FederatedSeparate && at.has("federated_file"):
		d.errorf(at.of("federated_file"), `write federated_bundles = "separate"`, "federated_file is for separate bundles")
	case x.Federated == encode.FederatedMerge && !x.Bundle.Wanted():
		d.errorf(at.of("federated_bundles"), "name the file: bundle; a trust store of several trust domains is an x509_bundle", "there is no bundle to merge federated bundles into")
	}
}

// checkPlaceholder sees that the files of many SVIDs have many names.
func (d *decoder) checkPlaceholder(f *encode.FileSpec, all bool, at span, key string) {
	if f != nil && f.Wanted() && all && !f.Has(encode.PlaceHint) && !f.Has(encode.PlaceID) && !f.Has(encode.PlaceIndex) && !f.Has(encode.PlaceFurther) {
		d.errorf(at, "write "+quote("{index}-"+f.Name), "%s: all = true needs {hint}, {id} or {index} in every file's name", key)
	}
}

func selectorFields(s *encode.Selector) []field {
	return []field{
		{key: "hint", doc: "the first SVID with this hint", value: text(&s.Hint)},
		{key: "spiffe_id", doc: "the first SVID with this SPIFFE ID", value: spiffeID(&s.ID)},
		{key: "all", doc: "every SVID; file names hold {hint}, {id} or {index}", value: boolean(&s.All, true)},
	}
}

func (d *decoder) checkSelector(s *encode.Selector, at places) {
	if s.All && (s.Hint != "" || !s.ID.IsZero()) {
		d.errorf(at.of("all"), "", "all = true selects everything: leave out hint and spiffe_id")
	}
}

func jwtSVIDTable(j *encode.JWTSVID) *block {
	return &block{name: "jwt_svid", fields: []field{
		{key: "audience", doc: "the services that the token is for", needed: `audience = ["name"]`, value: texts(&j.Audience)},
		{key: "file", doc: "the token, without a newline", needed: `file = "svid.jwt"`, value: file(&j.File, true, placesOfToken...)},
		{key: "spiffe_id", doc: "the token of this SPIFFE ID", value: spiffeID(&j.ID)},
		{key: "hint", doc: "the first token with this hint", value: text(&j.Hint)},
	}}
}

func witSVIDTable(w *encode.WITSVID) *block {
	return &block{name: "wit_svid", fields: append(selectorFields(&w.Select), []field{
		{key: "token", doc: "the token, without a newline", needed: `token = "svid.wit"`, value: file(&w.Token, true, placesOfSVID...)},
		{key: "key", doc: "the private key that the token is bound to, PEM", needed: `key = "wit_key.pem"`, value: file(&w.Key, true, placesOfSVID...)},
	}...), check: func(d *decoder, at places) {
		d.checkSelector(&w.Select, at)
		d.checkPlaceholder(&w.Token, w.Select.All, at.of("token"), "token")
		d.checkPlaceholder(&w.Key, w.Select.All, at.of("key"), "key")
	}}
}

func spiffeID(dst *spiffeid.ID) scalar {
	return parsed(dst, func(_ *decoder, s string) (spiffeid.ID, string, error) {
		id, err := spiffeid.FromString(s)
		if err != nil {
			err = fmt.Errorf("%q is not a SPIFFE ID: %w", s, err)
		}
		return id, `write "spiffe://example.org/path"`, err
	}, spiffeid.ID.String)
}
