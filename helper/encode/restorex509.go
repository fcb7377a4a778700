package encode

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A restoredSVID is an X.509-SVID of the set.
type restoredSVID struct {
	certs []*x509.Certificate
	key   crypto.Signer // nil: none
	files []string
}

// A restoreSource is a file that can hold SVIDs, and how it is read.
type restoreSource struct {
	file    FileSpec
	use     Use
	private bool // it holds the key
	read    func(data []byte) ([]*x509.Certificate, crypto.Signer, error)
}

// x509SVID restores a block. Which files are of one SVID shows in them: the chain, or
// the public key.
func (r *restoring) x509SVID(sel Selection) error {
	want := &r.output.X509SVIDs[sel.Index]
	var svids []*restoredSVID
	for i, src := range want.restoreSources() {
		found, err := r.files(src.file, src.use)
		if err != nil {
			return err
		}
		if svids, err = addChains(svids, found, src, i == 0); err != nil {
			return err
		}
	}
	if svids == nil && want.Key.Wanted() {
		return errors.New("there is no certificate that could be checked")
	}
	if err := r.keys(want, svids); err != nil {
		return err
	}
	verify, err := r.authorities(want)
	if err != nil {
		return err
	}
	if _, err := r.files(want.Hints, Use{snapshot.KindX509, false}); err != nil {
		return err
	}
	for _, svid := range svids {
		id, err := r.check(want, svid, verify)
		if err != nil {
			return err
		}
		id.Selection = sel
		r.set.Identities = append(r.set.Identities, id)
	}
	return nil
}

// restoreSources are the files of the block that hold chains.
func (x *X509SVID) restoreSources() []restoreSource {
	both := Use{snapshot.KindX509 | snapshot.KindBundle, true}
	store := func(k *Keystore) restoreSource {
		return restoreSource{k.file(), both, true, func(data []byte) ([]*x509.Certificate, crypto.Signer, error) {
			c, err := opened(data, k.Secret)
			return c.Chain, c.Key, err
		}}
	}
	var all []restoreSource
	if x.Cert.Wanted() {
		all = append(all, restoreSource{x.Cert, Use{snapshot.KindX509, false}, false, func(data []byte) ([]*x509.Certificate, crypto.Signer, error) {
			certs, err := readCerts(data)
			return certs, nil, err
		}})
	}
	if x.Combined.Wanted() {
		all = append(all, restoreSource{x.Combined, Use{snapshot.KindX509, true}, true, func(data []byte) ([]*x509.Certificate, crypto.Signer, error) {
			certs, err := readCerts(data)
			if err != nil {
				return nil, nil, err
			}
			key, err := readKey(data, x.KeySecret)
			return certs, key, err
		}})
	}
	for _, k := range []*Keystore{x.PKCS12, x.JKS} {
		if k != nil {
			all = append(all, store(k))
		}
	}
	return all
}

// addChains adds what the files of one source hold. All sources hold the same SVIDs.
func addChains(svids []*restoredSVID, found []diskFile, src restoreSource, first bool) ([]*restoredSVID, error) {
	if !first && len(found) != len(svids) {
		return nil, fmt.Errorf("%d SVIDs are there, and of them %d in files whose name could be %q", len(svids), len(found), src.file.Name)
	}
	known := map[string]*restoredSVID{}
	for _, svid := range svids {
		known[string(svid.certs[0].Raw)] = svid
	}
	for _, f := range found {
		certs, key, err := src.read(f.data)
		if err == nil && len(certs) == 0 {
			err = errors.New("there is no certificate in it")
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", f.name, err)
		}
		svid := known[string(certs[0].Raw)]
		if svid == nil && !first {
			return nil, fmt.Errorf("%q holds another SVID than the rest of the set", f.name)
		}
		if svid == nil {
			svid = &restoredSVID{certs: certs}
			svids = append(svids, svid)
		}
		svid.files = append(svid.files, f.name)
		if src.private {
			if !belongs(key, certs[0]) {
				return nil, fmt.Errorf("%q: the private key belongs to another certificate", f.name)
			}
			svid.key = key
		}
	}
	return svids, nil
}

func belongs(key crypto.Signer, cert *x509.Certificate) bool {
	if key == nil {
		return false
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// keys reads the files of private keys alone, one for each SVID.
func (r *restoring) keys(want *X509SVID, svids []*restoredSVID) error {
	found, err := r.files(want.Key, Use{snapshot.KindX509, true})
	if err != nil {
		return err
	}
	owned := map[*restoredSVID]bool{}
	for _, f := range found {
		key, err := readKey(f.data, want.KeySecret)
		if err != nil {
			return fmt.Errorf("%q: %w", f.name, err)
		}
		for _, svid := range svids {
			if belongs(key, svid.certs[0]) {
				svid.key, svid.files, owned[svid] = key, append(svid.files, f.name), true
			}
		}
	}
	if want.Key.Wanted() && len(owned) != len(svids) {
		return errors.New("a private key belongs to another certificate")
	}
	return nil
}

// A heldBundle is a file of authorities.
type heldBundle struct {
	name        string
	authorities []*x509.Certificate
}

// authorities reads what SVIDs are verified against: one of the files of each list.
func (r *restoring) authorities(want *X509SVID) (lists [][]heldBundle, err error) {
	for _, src := range []struct {
		file FileSpec
		read func(data []byte) ([]*x509.Certificate, error)
	}{
		{want.Bundle, readCerts},
		{want.truststoreFile(), func(data []byte) ([]*x509.Certificate, error) { return readAuthorities(want.Truststore, data) }},
	} {
		found, err := r.files(src.file, Use{snapshot.KindBundle, false})
		if err != nil {
			return nil, err
		}
		var list []heldBundle
		for _, f := range found {
			authorities, err := src.read(f.data)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", f.name, err)
			}
			list = append(list, heldBundle{f.name, authorities})
		}
		if list != nil {
			lists = append(lists, list)
		}
	}
	return lists, nil
}

// check checks an SVID by itself and against its bundles.
func (r *restoring) check(want *X509SVID, svid *restoredSVID, bundles [][]heldBundle) (Identity, error) {
	var none Identity
	leaf := svid.certs[0]
	id, err := x509svid.IDFromCert(leaf)
	if err != nil {
		return none, err
	}
	whole := snapshot.X509SVID{SVID: &x509svid.SVID{ID: id, Certificates: svid.certs, Hint: want.Select.Hint}}
	if svid.key != nil {
		key, err := x509.MarshalPKCS8PrivateKey(svid.key)
		if err != nil {
			return none, err
		}
		if whole.SVID, err = x509svid.ParseRaw(encodeCerts(svid.certs, EncodingDER), key); err != nil {
			return none, err
		}
	}
	for _, list := range bundles {
		b, name, err := r.verify(whole.SVID, list)
		if err != nil {
			return none, err
		}
		whole.Bundle, svid.files = b, append(svid.files, name)
	}
	r.svids = append(r.svids, whole)
	switch {
	case !r.now.Before(leaf.NotAfter):
		return none, fmt.Errorf("it expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case !want.Select.ID.IsZero() && want.Select.ID != id:
		return none, fmt.Errorf("what is on disk is that of %s", id)
	}
	return Identity{
		Kind: snapshot.KindX509, Default: want.Select == Selector{}, ID: id, Hint: want.Select.Hint,
		Serial: snapshot.Serial(leaf.SerialNumber), NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), Files: svid.files,
	}, allowed(want.Allow, id)
}

// verify returns the bundle that verifies an SVID.
func (r *restoring) verify(svid *x509svid.SVID, list []heldBundle) (*x509bundle.Bundle, string, error) {
	var first error
	for _, held := range list {
		b := x509bundle.FromX509Authorities(svid.ID.TrustDomain(), held.authorities)
		_, _, err := x509svid.Verify(svid.Certificates, b, x509svid.WithTime(r.now))
		if err == nil {
			return b, held.name, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, "", first
}
