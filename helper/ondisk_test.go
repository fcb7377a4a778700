package helper

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// certificates returns the certificates of a PEM file.
func certificates(t *testing.T, path ...string) []*x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return parseCertificates(t, b)
}

func parseCertificates(t *testing.T, b []byte) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return certs
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
}

// leafOnDisk returns the first certificate of a PEM file.
func leafOnDisk(t *testing.T, path ...string) *x509.Certificate {
	t.Helper()
	return certificates(t, path...)[0]
}

// awaitOneGeneration waits until no generation but the published one is left.
func awaitOneGeneration(t *testing.T, dir string) {
	t.Helper()
	eventually(t, func() error {
		all, err := filepath.Glob(filepath.Join(dir, "..gen-*"))
		if err != nil || len(all) != 1 {
			return notYet("generations: %q %v", all, err)
		}
		return nil
	})
}

// snapshotDir returns all there is in a directory: names, modes, times, and what
// is in the files and links.
func snapshotDir(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		var content string
		switch info.Mode().Type() {
		case 0:
			content = read(path)
		case fs.ModeSymlink:
			content, err = os.Readlink(path)
		}
		all[path] = fmt.Sprintf("%v %v %s", info.Mode(), info.ModTime().UnixNano(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// differences names what differs between two snapshots of a directory.
func differences(before, after map[string]string) []string {
	var names []string
	for name := range before {
		if after[name] != before[name] {
			names = append(names, name)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// A disk is what a reader finds in the directory of an output with an
// X.509-SVID and tokens.
type disk struct {
	dir    string
	tokens []string // names of files
	looks  int
	known  map[string]time.Time // when what was found before expires
}

// check reads everything, and reports whether something has expired at that
// time; an error says what does not match.
func (d *disk) check(now time.Time) (expired bool, err error) {
	d.looks++
	if d.known == nil {
		d.known = map[string]time.Time{}
	}
	look := func(parse func(string) (time.Time, error), names ...string) {
		text := ""
		for _, name := range names {
			text += read(d.dir, name)
		}
		ends, ok := d.known[text]
		if !ok {
			var bad error
			if ends, bad = parse(names[0]); bad != nil {
				err = fmt.Errorf("%s: %w", names[0], bad)
				return
			}
			d.known[text] = ends
		}
		expired = expired || now.After(ends)
	}
	look(d.parseSVID, "svid.pem", "svid_key.pem", "svid_bundle.pem")
	for _, name := range d.tokens {
		look(d.parseToken, name)
	}
	return expired, err
}

// parseSVID checks that key, certificate and bundle match, and returns when the
// SVID expires.
func (d *disk) parseSVID(string) (time.Time, error) {
	svid, err := x509svid.Load(filepath.Join(d.dir, "svid.pem"), filepath.Join(d.dir, "svid_key.pem"))
	if err != nil {
		return time.Time{}, err
	}
	bundle, err := x509bundle.Load(svid.ID.TrustDomain(), filepath.Join(d.dir, "svid_bundle.pem"))
	if err != nil {
		return time.Time{}, err
	}
	ends := svid.Certificates[0].NotAfter
	_, _, err = x509svid.Verify(svid.Certificates, bundle, x509svid.WithTime(ends))
	return ends, err
}

func (d *disk) parseToken(name string) (time.Time, error) {
	c, err := tokenOf(read(d.dir, name))
	if err != nil {
		return time.Time{}, err
	}
	return c.Expiry.Time(), nil
}

// tokenClaims are the claims of a JWT that matter here; nobody verifies it.
type tokenClaims struct {
	Audience jwt.Audience     `json:"aud"`
	Expiry   *jwt.NumericDate `json:"exp"`
}

func tokenOf(text string) (c tokenClaims, err error) {
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return c, err
	}
	return c, parsed.UnsafeClaimsWithoutVerification(&c)
}

func parseToken(t *testing.T, text string) tokenClaims {
	t.Helper()
	c, err := tokenOf(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
