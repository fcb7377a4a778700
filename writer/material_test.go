package writer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An authority issues certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serials atomic.Int64

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(serials.Add(1))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = sign(t, template, template, a.key.Public(), a.key)
	return a
}

func pemOf(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

// bundle is the authority's own certificate as a file.
func (a *authority) bundle(name string) File {
	return File{Name: name, Data: pemOf("CERTIFICATE", a.cert.Raw), Mode: 0o644}
}

// answer is a new pair with its bundle, and other files.
func (a *authority) answer(t testing.TB, others ...File) []File {
	t.Helper()
	key := newKey(t)
	leaf := sign(t, &x509.Certificate{
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"},
	}, a.cert, key.Public(), a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return append([]File{
		{Name: "tls.crt", Data: pemOf("CERTIFICATE", leaf.Raw), Mode: 0o644},
		{Name: "tls.key", Data: pemOf("PRIVATE KEY", der), Mode: 0o600},
		a.bundle("ca.crt"),
	}, others...)
}

// leafOf is the certificate of an answer.
func leafOf(t testing.TB, files []File) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(files[0].Data)
	cert, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return cert
}

// foreignBundles are many bundle files, which never change.
func foreignBundles(a *authority, n int) (files []File) {
	for i := range n {
		files = append(files, a.bundle(fmt.Sprintf("fed-td%04d.example.pem", i)))
	}
	return files
}

// An output is where the files of a test go, with the modes of all of them: 0
// leaves those that they have.
type output struct {
	Spec
	KeyMode, FileMode fs.FileMode
	Known             []File // of which Check is told
}

// trio is an output of certificate, key and bundle.
func trio(dir string) *output {
	return &output{Spec: Spec{Dir: dir}, Known: []File{{Name: "tls.crt"}, {Name: "tls.key"}, {Name: "ca.crt"}}}
}

// A fileSet is what a test publishes at a time. What has a name in keep stays.
type fileSet struct {
	Files []File
	keep  []string
}

func (s fileSet) keeps(name string) bool {
	for _, k := range s.keep {
		if name == k {
			return true
		}
	}
	return false
}

// wanted are files with the modes of an output.
func wanted(files []File, o *output) fileSet {
	set := fileSet{}
	for _, f := range files {
		switch {
		case f.private() && o.KeyMode != 0:
			f.Mode = o.KeyMode
		case !f.private() && o.FileMode != 0:
			f.Mode = o.FileMode
		}
		set.Files = append(set.Files, f)
	}
	return set
}

func open(t testing.TB, o *output) *Dir {
	t.Helper()
	d, err := Open(o.Spec, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// unchanged reports whether a publish changed nothing.
func unchanged(c Change) bool { return len(c.Changed)+len(c.Removed) == 0 }

func publish(t testing.TB, d *Dir, set fileSet) Change {
	t.Helper()
	change, err := d.Publish(set.Files, set.keeps)
	must(t, err)
	return change
}

// private reports whether a file holds a private key.
func (f File) private() bool { return bytes.Contains(f.Data, []byte("PRIVATE KEY")) }

// combined is the key and the certificate of an answer in one file.
func combined(name string, answer []File) File {
	return File{Name: name, Data: slices.Concat(answer[1].Data, answer[0].Data), Mode: 0o600}
}

// without are the files that do not have some names.
func without(files []File, names ...string) []File {
	return slices.DeleteFunc(slices.Clone(files), func(f File) bool { return slices.Contains(names, f.Name) })
}

// names are those of the files that changed or went.
func (c Change) names() string {
	return strings.Join(append(c.Changed[:len(c.Changed):len(c.Changed)], c.Removed...), " ")
}
