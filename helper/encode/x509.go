package encode

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

type x509Candidate struct{ *snapshot.X509SVID }

func (c x509Candidate) id() spiffeid.ID { return c.ID }
func (c x509Candidate) hint() string    { return c.Hint }

func (r *encoding) x509SVID(sel Selection, answer *snapshot.X509) (absent bool, err error) {
	want := &r.output.X509SVIDs[sel.Index]
	if want.Select == (Selector{}) && answer.DefaultRefused { // another identity is not the default
		return false, refusedIn(answer.Refused, want.Select)
	}
	var all []x509Candidate
	for j := range answer.SVIDs {
		all = append(all, x509Candidate{&answer.SVIDs[j]})
	}
	picked, err := pick("X.509-SVID", all, want.Select)
	if err != nil {
		if bad := refusedIn(answer.Refused, want.Select); bad != nil {
			return false, bad
		}
		return true, err
	}
	encoded := []int{}
	for index, c := range picked {
		one := x509Encoding{r, sel, want, c.X509SVID, answer, index}
		before := len(r.set.Identities)
		if err := r.one(want.Select, c, func() error { return one.encode() }); err != nil {
			return false, err
		}
		if len(r.set.Identities) > before {
			encoded = append(encoded, index)
		}
	}
	r.picked[want] = encoded
	return false, nil
}

// files are all files that an X509SVID can name.
func (x *X509SVID) files() []FileSpec {
	files := []FileSpec{x.Cert, x.Key, x.Bundle, x.Combined, x.CRL}
	if x.PKCS12 != nil {
		files = append(files, x.PKCS12.File)
	}
	if x.JKS != nil {
		files = append(files, x.JKS.File)
	}
	if x.Federated == FederatedSeparate {
		files = append(files, x.FederatedFile)
	}
	return files
}

// An x509Encoding is one X.509-SVID on its way into its files.
type x509Encoding struct {
	*encoding
	sel    Selection
	want   *X509SVID
	svid   *snapshot.X509SVID
	answer *snapshot.X509
	index  int
}

func (x x509Encoding) encode() error {
	if err := allowed(x.want.Allow, x.svid.ID); err != nil {
		return err
	}
	identity := Identity{
		Kind: snapshot.KindX509, Selection: x.sel, Default: x.want.Select == Selector{}, Stale: x.svid.Stale, ID: x.svid.ID, Hint: x.svid.Hint,
		Serial:    fmt.Sprintf("%x", x.svid.Certificates[0].SerialNumber),
		NotBefore: x.svid.Certificates[0].NotBefore.UTC(),
		NotAfter:  x.svid.Certificates[0].NotAfter.UTC(),
	}
	both := snapshot.KindX509 | snapshot.KindBundle
	w := x.want
	for _, f := range []struct {
		spec    FileSpec
		kind    snapshot.Kind
		private bool
		from    []any
		encode  func() ([]byte, error)
	}{
		{w.Cert, snapshot.KindX509, false, []any{x.svid.SVID}, x.chain},
		{w.Key, snapshot.KindX509, true, []any{x.svid.SVID}, x.key},
		{w.Bundle, snapshot.KindBundle, false, x.bundleFrom(), x.bundle},
		{w.Combined, snapshot.KindX509, true, []any{x.svid.SVID}, x.combined},
		{w.CRL, snapshot.KindBundle, false, []any{x.answer}, x.crl},
		{w.PKCS12.file(), both, true, x.keystoreFrom(w.PKCS12), x.pkcs12},
		{w.JKS.file(), both, true, x.keystoreFrom(w.JKS), x.jks},
	} {
		if !f.spec.Wanted() {
			continue
		}
		spec, err := x.expand(f.spec, ofSVID(x.svid.ID, x.svid.Hint, x.index))
		if err != nil && f.kind == snapshot.KindBundle {
			x.nameless(f.spec, err)
			continue
		}
		if err != nil {
			return err
		}
		data, err := x.recall("file", spec.Name, f.from, f.encode)
		if err == errNothing {
			continue
		}
		if err != nil {
			return err
		}
		if err := x.add(spec, f.kind, f.private, data); err != nil {
			return err
		}
		identity.Files = append(identity.Files, spec.Name)
	}
	x.set.Identities = append(x.set.Identities, identity)
	return nil
}

// nameless leaves out a bundle or a CRL that cannot have the name that the answer
// makes for it. The SVID is of use without.
func (x x509Encoding) nameless(f FileSpec, err error) {
	if err = fmt.Errorf("%s: %w", f.Name, err); x.want.Select.All {
		x.skip(err)
		return
	}
	x.lack(x.sel, fmt.Sprintf("%.*s", longSkipped, err))
}

// leafAndRest is what the certificate file holds, and what the bundle file
// holds besides authorities.
func (x x509Encoding) leafAndRest() (certs, moved []*x509.Certificate) {
	certs = x.svid.Certificates
	if x.want.IntermediatesInBundle {
		return certs[:1], certs[1:]
	}
	return certs, nil
}

func (x x509Encoding) chain() ([]byte, error) {
	certs, _ := x.leafAndRest()
	return certsPEM(certs), nil
}

func (x x509Encoding) key() ([]byte, error) {
	return keyPEM(x.svid.PrivateKey, x.want.KeyEncoding)
}

func (x x509Encoding) combined() ([]byte, error) {
	key, err := x.key()
	if err != nil {
		return nil, err
	}
	certs, _ := x.leafAndRest()
	return append(key, certsPEM(certs)...), nil
}

// bundles are those that the bundle file holds.
func (x x509Encoding) bundles() []*x509bundle.Bundle {
	bundles := []*x509bundle.Bundle{x.svid.Bundle}
	if x.want.Federated == FederatedMerge {
		for _, b := range x.answer.Federated {
			if b.TrustDomain() != x.svid.Bundle.TrustDomain() { // some agents list their own
				bundles = append(bundles, b)
			}
		}
	}
	return bundles
}

func (x x509Encoding) bundleFrom() []any {
	var from []any
	for _, b := range x.bundles() {
		from = append(from, b)
		if x.want.OmitExpired {
			from = append(from, len(x.unexpired(b.X509Authorities())))
		}
	}
	if _, moved := x.leafAndRest(); len(moved) > 0 {
		from = append(from, x.svid.SVID, len(x.bundleCerts(moved)))
	}
	return from
}

// bundle encodes the authorities of the own trust domain, then the intermediates
// that were moved here, then the authorities of the other trust domains.
func (x x509Encoding) bundle() ([]byte, error) {
	var out []byte
	for _, b := range x.bundles() {
		part, err := x.bundlePEM(b, x.want.OmitExpired)
		if err != nil && err != errNothing {
			return nil, err
		}
		if err == errNothing && b == x.svid.Bundle {
			return nil, fmt.Errorf("every X.509 authority of %s has expired", b.TrustDomain())
		}
		out = append(out, part...)
		if b == x.svid.Bundle {
			_, moved := x.leafAndRest()
			out = append(out, certsPEM(x.bundleCerts(moved))...)
		}
	}
	return out, nil
}

// bundleCerts are those of certs that belong in a bundle file.
func (x x509Encoding) bundleCerts(certs []*x509.Certificate) []*x509.Certificate {
	if x.want.OmitExpired {
		return x.unexpired(certs)
	}
	return certs
}

func (x x509Encoding) crl() ([]byte, error) { return crlPEM(x.answer.CRLs) }

// foreign is what was made of the bundles of foreign trust domains.
type foreign struct {
	bundles []*x509bundle.Bundle
	picked  []int
	files   []writer.File
	made    map[foreignKey]writer.File
	whole   bool // none was left out
}

type foreignKey struct {
	bundle *x509bundle.Bundle
	name   string
}

// federatedUse is the use of the file of a foreign bundle.
var federatedUse = Use{Kind: snapshot.KindBundle}

// maxFederated bounds the files of foreign bundles, of which each SVID can have
// its own.
const maxFederated = 4096

// separate encodes a file for each foreign trust domain, or for each of them and
// each SVID that is in the set. While all are the same, it takes no more than to
// see that.
func (r *encoding) separate(sel Selection, answer *snapshot.X509) {
	want := &r.output.X509SVIDs[sel.Index]
	picked, encoded := r.picked[want]
	if want.Federated != FederatedSeparate || !want.FederatedFile.Wanted() || !encoded || r.dropped[sel] {
		return
	}
	if !want.FederatedFile.Has(PlaceIndex) {
		picked = []int{0}
	}
	last := r.foreign[want]
	// With other names from the answer, each has to be looked at.
	if r.varying == 1 && last.whole && slices.Equal(last.bundles, answer.Federated) && slices.Equal(last.picked, picked) && !want.OmitExpired {
		r.set.Files = append(r.set.Files, last.files...)
		r.set.Uses = append(r.set.Uses, slices.Repeat([]Use{federatedUse}, len(last.files))...)
		r.abroad[want] = last
		return
	}
	now := foreign{
		bundles: answer.Federated, picked: picked, whole: true,
		made: make(map[foreignKey]writer.File, len(answer.Federated)*len(picked)),
	}
	first := len(r.set.Files)
	for _, index := range picked {
		for n, b := range answer.Federated {
			err := r.separateFile(want, b, naming{trustDomain: b.TrustDomain(), index: index, n: n}, last, now)
			if err != nil {
				r.skip(fmt.Errorf("federated bundle of %.80s: %w", b.TrustDomain(), err))
				now.whole = false
			}
		}
	}
	now.files = slices.Clone(r.set.Files[first:])
	r.abroad[want] = now
}

// separateFile adds the file of one foreign trust domain, if there is one: to trust
// no authority and to have no file are the same.
func (r *encoding) separateFile(want *X509SVID, b *x509bundle.Bundle, by naming, last, now foreign) error {
	if len(now.made) >= maxFederated {
		return fmt.Errorf("there are more than %d such files", maxFederated)
	}
	spec, err := r.expand(want.FederatedFile, by)
	if err != nil {
		return err
	}
	key := foreignKey{b, spec.Name}
	f, same := last.made[key]
	if !same || want.OmitExpired {
		data, err := r.bundlePEM(b, want.OmitExpired)
		if err == errNothing {
			return nil
		}
		if err != nil {
			return err
		}
		f = r.file(spec, false, data)
	}
	now.made[key], r.set.Files, r.set.Uses = f, append(r.set.Files, f), append(r.set.Uses, federatedUse)
	return nil
}

// bundlePEM encodes one bundle, in the order of its authorities.
func (r *encoding) bundlePEM(b *x509bundle.Bundle, omitExpired bool) ([]byte, error) {
	form, from := "pem", []any{b}
	if omitExpired {
		form, from = "pem unexpired", append(from, len(r.unexpired(b.X509Authorities())))
	}
	return r.recall(form, b.TrustDomain().Name(), from, func() ([]byte, error) {
		certs := b.X509Authorities()
		if omitExpired {
			certs = r.unexpired(certs)
		}
		if len(certs) == 0 {
			return nil, errNothing
		}
		return certsPEM(certs), nil
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

func certsPEM(certs []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		writePEM(&out, "CERTIFICATE", c.Raw)
	}
	return out.Bytes()
}

func crlPEM(crls []*x509.RevocationList) ([]byte, error) {
	if len(crls) == 0 {
		return nil, errNothing
	}
	var out bytes.Buffer
	for _, c := range crls {
		writePEM(&out, "X509 CRL", c.Raw)
	}
	return out.Bytes(), nil
}

// keyPEM encodes a private key. Only RSA and ECDSA keys have a traditional form.
func keyPEM(key crypto.Signer, encoding KeyEncoding) ([]byte, error) {
	var out bytes.Buffer
	if encoding == KeyTraditional {
		switch key := key.(type) {
		case *rsa.PrivateKey:
			writePEM(&out, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
			return out.Bytes(), nil
		case *ecdsa.PrivateKey:
			der, err := x509.MarshalECPrivateKey(key)
			if err != nil {
				return nil, fmt.Errorf("encoding the private key: %w", err)
			}
			writePEM(&out, "EC PRIVATE KEY", der)
			return out.Bytes(), nil
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the private key: %w", err)
	}
	writePEM(&out, "PRIVATE KEY", der)
	return out.Bytes(), nil
}

// writePEM appends a PEM block. It cannot fail: there are no headers, and a
// buffer takes everything.
func writePEM(out *bytes.Buffer, label string, der []byte) {
	_ = pem.Encode(out, &pem.Block{Type: label, Bytes: der})
}

func (r *encoding) x509Bundle(sel Selection, answer *snapshot.X509Bundles) (absent bool, err error) {
	want := &r.output.X509Bundles[sel.Index]
	bundles := choose(r, sel, "X.509 bundle", answer.Bundles, want.TrustDomains)
	return false, files(r, sel, want.File, want.TrustDomains, bundles, func(f FileSpec, bundles []*x509bundle.Bundle) error {
		return r.x509BundleFile(sel, want, f, bundles)
	})
}

func (r *encoding) x509BundleFile(sel Selection, want *X509Bundle, file FileSpec, bundles []*x509bundle.Bundle) error {
	data, err := r.recall("file", file.Name, pointers(bundles), func() ([]byte, error) {
		switch want.Format {
		case FormatDefault, FormatPEM:
			var out []byte
			for _, b := range bundles {
				part, err := r.bundlePEM(b, false)
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
