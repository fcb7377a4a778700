package encode

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
	"software.sslmate.com/src/go-pkcs12"
)

// material is what FuzzEncode makes snapshots of: making it takes long.
var material = sync.OnceValue(func() (m struct {
	authorities []*authority
	keys        []crypto.Signer
	svids       []*x509svid.SVID
}) {
	t := &testing.B{}
	for _, name := range []string{"example.org", "a.example", "b.example", "c.example"} {
		m.authorities = append(m.authorities, newAuthority(t, name))
	}
	m.keys = []crypto.Signer{newKey(t), newRSAKey(t), newKey(t)}
	for _, key := range m.keys {
		m.svids = append(m.svids, m.authorities[0].svidWithKey(t, "/web", "", key))
	}
	return m
})

// FuzzEncode makes snapshots and outputs of what the fuzzer says, encodes them,
// and parses every file again: it must hold what the snapshot held.
func FuzzEncode(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, "main", "tls.crt", "changeit", uint16(0))
	f.Add([]byte{3, 2, 1}, "", "{hint}/{id}.{index}", "", uint16(0xffff))
	f.Add([]byte{0xff}, "x", "{hint}", "", uint16(0x3f0))
	f.Add([]byte{}, "..", "../x", "päss", uint16(0x5555))
	f.Fuzz(func(t *testing.T, order []byte, hint, name, password string, flags uint16) {
		m := material()
		flag := func(bit int) bool { return flags&(1<<bit) != 0 }
		s := &snapshot.Snapshot{X509: &snapshot.X509{}}
		for i, b := range order[:min(len(order), 4)] {
			svid := *m.svids[0]
			switch { // an RSA key takes long to parse
			case b > 0xf0:
				svid = *m.svids[1]
			case b%2 == 1:
				svid = *m.svids[2]
			}
			if svid.Hint = hint; flag(i) {
				svid.Hint += string(rune('a' + i))
			}
			s.X509.SVIDs = append(s.X509.SVIDs, snapshot.X509SVID{SVID: &svid, Bundle: m.authorities[0].bundle()})
			s.X509.Federated = append(s.X509.Federated, m.authorities[1+i%3].bundle())
		}
		s.X509.Federated = slices.CompactFunc(s.X509.Federated, func(a, b *x509bundle.Bundle) bool { return a.TrustDomain() == b.TrustDomain() })
		x := X509SVID{
			Select: Selector{All: flag(4)},
			Cert:   FileSpec{Name: name}, Key: FileSpec{Name: name + ".key"}, Bundle: FileSpec{Name: name + ".ca"},
			Combined: FileSpec{Name: name + ".both"}, IntermediatesInBundle: flag(5), OmitExpired: flag(6),
		}
		if flag(10) && flag(11) && flag(12) { // which takes a hundred times as long as all the rest
			x.PKCS12 = &Keystore{File: FileSpec{Name: name + ".p12"}, Secret: Secret{Password: password}, Alias: hint}
		}
		if flag(7) {
			x.KeyEncoding = KeyTraditional
		}
		if flag(8) {
			x.Federated = FederatedMerge
		}
		if flag(9) {
			x.Select.Hint = hint
		}
		o := x509Output(x)
		set, err := tryEncode(NewEncoder(o, unpublished), s)
		if err != nil {
			return // the selection or the names
		}
		picked := s.X509.SVIDs
		if x.Select.Hint != "" {
			picked = slices.DeleteFunc(slices.Clone(picked), func(v snapshot.X509SVID) bool { return v.Hint != hint })
		}
		if !x.Select.All {
			picked = picked[:1]
		}
		each := 4
		if x.PKCS12 != nil {
			each++
		}
		if len(set.Files) != each*len(picked) {
			t.Fatalf("%d files for %d SVIDs", len(set.Files), len(picked))
		}
		for i, svid := range picked {
			checkEncoded(t, &x, svid, s.X509.Federated, set.Files[each*i:each*(i+1)], password)
		}
		for _, file := range set.Files {
			if err := writer.CheckName(file.Name); err != nil {
				t.Error(err)
			}
		}
		if again, err := tryEncode(NewEncoder(o, unpublished), s); err != nil || !slices.EqualFunc(again.Files, set.Files, func(a, b writer.File) bool { return a.Name == b.Name && bytes.Equal(a.Data, b.Data) }) {
			t.Errorf("again: %v", err)
		}
	})
}

// checkEncoded parses the files of one SVID and compares.
func checkEncoded(t *testing.T, x *X509SVID, svid snapshot.X509SVID, federated []*x509bundle.Bundle, files []writer.File, password string) {
	t.Helper()
	chain, bundle := svid.Certificates, svid.Bundle.X509Authorities()
	if x.IntermediatesInBundle {
		chain, bundle = chain[:1], append(bundle, chain[1:]...)
	}
	if x.Federated == FederatedMerge {
		for _, b := range federated {
			bundle = append(bundle, b.X509Authorities()...)
		}
	}
	if !sameCerts(certs(t, files[0].Data), chain) {
		t.Error("another chain")
	}
	if !sameCerts(certs(t, files[2].Data), bundle) {
		t.Error("another bundle")
	}
	labels, ders := blocks(t, files[1].Data)
	var key any
	var err error
	switch labels[0] {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(ders[0])
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(ders[0])
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(ders[0])
	}
	if err != nil || len(ders) != 1 || !sameKey(svid.PrivateKey, key) {
		t.Errorf("another key: %q %v", labels, err)
	}
	if !bytes.Equal(files[3].Data, slices.Concat(files[1].Data, files[0].Data)) {
		t.Error("combined is not both")
	}
	if x.PKCS12 == nil || !bmpOnly(password) {
		return // the library that reads cannot say such a password
	}
	p12Key, leaf, rest, err := pkcs12.DecodeChain(files[4].Data, password)
	if err != nil {
		t.Fatalf("PKCS#12: %v", err)
	}
	want := slices.Concat(svid.Certificates, svid.Bundle.X509Authorities())
	if !sameKey(svid.PrivateKey, p12Key) || !sameCerts(append([]*x509.Certificate{leaf}, rest...), want) {
		t.Error("another PKCS#12 keystore")
	}
}

func bmpOnly(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0xffff || r == 0xfffd || r == 0 })
}

// FuzzNames has what fills a placeholder make a name that is one, and the pattern
// match what it expands to.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"tls.crt", "a/b", "../x", "..data", "", "{hint}/{id}", "{index}{index}", "a\x00", "."} {
		f.Add(name, "main", "/web/1", 3)
	}
	f.Fuzz(func(t *testing.T, name, hint, path string, index int) {
		id, err := spiffeid.FromPath(td("example.org"), path)
		if err != nil {
			return
		}
		spec := FileSpec{Name: name}
		file, err := (&encoding{Encoder: NewEncoder(&Output{}, unpublished)}).expand(spec, ofSVID(id, hint, index))
		if err != nil || !spec.Varies() {
			return
		}
		expanded := file.Name
		if err := writer.CheckName(expanded); err != nil {
			t.Error(err)
		}
		if writer.CheckName(sample(spec)) == nil && !spec.Matches(expanded) {
			t.Errorf("%q does not match what it expands to, %q", name, expanded)
		}
		if !strings.Contains(name, "{") && expanded != name {
			t.Errorf("%q became %q", name, expanded)
		}
	})
}

// FuzzBoundKey has anything for a token: it is no reason to panic.
func FuzzBoundKey(f *testing.F) {
	f.Add("a.eyJjbmYiOnsiandrIjp7Imt0eSI6Ik9LUCJ9fX0.c")
	f.Fuzz(func(t *testing.T, token string) {
		if key := boundKey(token); key.Key != nil {
			t.Error("a key")
		} else if _, err := json.Marshal(jose.JSONWebKey{Key: material().keys[0], KeyID: key.KeyID, Algorithm: key.Algorithm, Use: key.Use}); err != nil {
			t.Error(err)
		}
	})
}
