package encode

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/keystore"
	"github.com/svidhelper/svidhelper/helper/snapshot"
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
	hints := hintsFile{Hints: []hintEntry{}}
	for index, c := range picked {
		one := &x509Encoding{encoding: r, sel: sel, want: want, svid: c.X509SVID, answer: answer, index: index}
		before := len(r.set.Identities)
		if err := r.one(want.Select, c, one.encode); err != nil {
			return false, err
		}
		if len(r.set.Identities) > before {
			encoded = append(encoded, index)
			hints.add(c.Hint, index, one.shown)
		}
	}
	r.picked[want] = encoded
	if !want.Hints.Wanted() {
		return false, nil
	}
	return false, r.add(want.Hints, snapshot.KindX509, false, hints.encode())
}

// files are all files that an X509SVID can name.
func (x *X509SVID) files() []FileSpec {
	files := []FileSpec{x.Cert, x.Key, x.Bundle, x.Combined, x.CRL, x.PKCS12.file(), x.JKS.file(), x.truststoreFile(), x.Hints}
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
	shown  []byte // the file that hints are of
}

func (x *x509Encoding) encode() error {
	if err := allowed(x.want.Allow, x.svid.ID); err != nil {
		return err
	}
	identity := Identity{
		Kind: snapshot.KindX509, Selection: x.sel, Default: x.want.Select == Selector{}, Stale: x.svid.Stale, ID: x.svid.ID, Hint: x.svid.Hint,
		Serial:    snapshot.Serial(x.svid.Certificates[0].SerialNumber),
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
		{w.Key, snapshot.KindX509, true, x.keyFrom(), x.key},
		{w.Bundle, snapshot.KindBundle, false, x.bundleFrom(), x.bundle},
		{w.Combined, snapshot.KindX509, true, x.keyFrom(), x.combined},
		{w.CRL, snapshot.KindBundle, false, []any{x.answer}, x.crl},
		{w.PKCS12.file(), both, true, x.keystoreFrom(w.PKCS12), x.pkcs12},
		{w.JKS.file(), both, true, x.keystoreFrom(w.JKS), x.jks},
		{w.truststoreFile(), snapshot.KindBundle, false, x.truststoreFrom(), x.truststore},
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
		if f.spec == w.Combined || f.spec == w.Cert {
			x.shown = data
		}
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
	return encodeCerts(certs, x.want.Encoding), nil
}

// keyFrom are the values that a private key's file is made from. A password that
// cannot be read shows when the key is encoded.
func (x x509Encoding) keyFrom() []any {
	if x.want.KeySecret == (Secret{}) {
		return []any{x.svid.SVID}
	}
	password, err := x.password(x.want.KeySecret)
	return []any{x.svid.SVID, password, err == nil}
}

func (x x509Encoding) key() ([]byte, error) {
	label, der, err := keyDER(x.svid.PrivateKey, x.want.KeyEncoding)
	if err == nil && x.want.KeySecret != (Secret{}) {
		label = "ENCRYPTED PRIVATE KEY"
		der, err = x.encryptedKey(der)
	}
	if err != nil {
		return nil, err
	}
	if x.want.Encoding == EncodingDER {
		return der, nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}), nil
}

func (x x509Encoding) encryptedKey(der []byte) ([]byte, error) {
	password, err := x.password(x.want.KeySecret)
	if err != nil {
		return nil, err
	}
	salts, err := x.salts("PKCS#8", password)
	if err != nil {
		return nil, err
	}
	return keystore.EncryptKey(der, password, salts)
}

func (x x509Encoding) combined() ([]byte, error) {
	key, err := x.key()
	if err != nil {
		return nil, err
	}
	certs, _ := x.leafAndRest()
	return append(key, encodeCerts(certs, x.want.Encoding)...), nil
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
		part, err := x.bundleOf(b, x.want.Encoding, x.want.OmitExpired)
		if err != nil && err != errNothing {
			return nil, err
		}
		if err == errNothing && b == x.svid.Bundle {
			return nil, fmt.Errorf("every X.509 authority of %s has expired", b.TrustDomain())
		}
		out = append(out, part...)
		if b == x.svid.Bundle {
			_, moved := x.leafAndRest()
			out = append(out, encodeCerts(x.bundleCerts(moved), x.want.Encoding)...)
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
