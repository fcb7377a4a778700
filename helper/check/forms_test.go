package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/check"
)

// golden is a file of package encode's, and what is known of it.
func golden(t *testing.T, name string, want check.Want) check.File {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../encode/testdata/golden", name))
	if err != nil {
		t.Fatal(err)
	}
	return check.File{Path: name, Data: data, Want: want}
}

// TestForms: what check says of forms that hold keys, and of those that are damaged.
func TestForms(t *testing.T) {
	right, wrong := "changeit", "changedit"
	with := func(password *string) check.Want { return check.Want{Password: password} }
	edited := func(f check.File, old, new string) check.File {
		text := strings.Replace(string(f.Data), old, new, 1)
		if text == string(f.Data) {
			t.Fatalf("%s does not hold %q", f.Path, old)
		}
		f.Data = []byte(text)
		return f
	}
	svids := []check.File{golden(t, "credential-bundle.private-key.x509.pem", check.Want{}), golden(t, "1.credential-bundle.private-key.x509.pem", check.Want{})}
	hints := golden(t, "hints.json", check.Want{})
	for _, c := range []struct {
		name   string
		set    []check.File // of which the first is looked at
		kind   check.Kind
		level  check.Level
		says   string
		usable bool
	}{
		{"an encrypted key", []check.File{golden(t, "encrypted.key", with(&right))}, check.PrivateKey, check.OK, "EC P-256", true},
		{"an encrypted key in DER", []check.File{golden(t, "encrypted.key.der", with(&right))}, check.PrivateKey, check.OK, "EC P-256", true},
		{"an encrypted key without its password", []check.File{golden(t, "encrypted.key", check.Want{})}, check.PrivateKey, check.Warning, "-password-file", true},
		{"an encrypted key in DER without its password", []check.File{golden(t, "encrypted.key.der", check.Want{})}, check.PrivateKey, check.Warning, "-password-file", true},
		{"an encrypted key with another password", []check.File{golden(t, "encrypted.key", with(&wrong))}, check.PrivateKey, check.Problem, "its password is another one", false},
		{"a combined file with an encrypted key", []check.File{golden(t, "encrypted.pem", with(&right))}, check.X509SVID, check.OK, "belongs to it", true},
		{"a key in DER", []check.File{golden(t, "tls.key.der", check.Want{})}, check.PrivateKey, check.OK, "EC P-256", true},
		{"a traditional key in DER", []check.File{golden(t, "traditional.key.der", check.Want{})}, check.PrivateKey, check.OK, "EC P-256", true},
		{"a keystore without a password", []check.File{golden(t, "none.p12", check.Want{})}, check.Keystore, check.OK, "it has none", true},
		{"a trust store without a password", []check.File{golden(t, "trust-none.p12", check.Want{})}, check.Keystore, check.OK, "signing certificates: 1", true},
		{"a keystore for old Java", []check.File{golden(t, "legacy.p12", with(&right))}, check.Keystore, check.OK, "opened with its password", true},
		{"a trust store in Java's form", []check.File{golden(t, "trust.jks", with(&right))}, check.Keystore, check.OK, "signing certificates: 1", true},
		{"a keystore with another password", []check.File{golden(t, "legacy.p12", with(&wrong))}, check.Keystore, check.Problem, "its password is another one", false},
		{"hints", append([]check.File{hints}, svids...), check.Hints, check.OK, "hints of SVIDs: 2", true},
		{"hints alone", []check.File{hints}, check.Hints, check.Warning, "not compared", true},
		{"hints of which an SVID is not there", []check.File{hints, svids[0]}, check.Hints, check.Problem, "the fingerprint of hint 2", false},
		{"hints of another generation", append([]check.File{edited(hints, "sha256:", "sha256:00")}, svids...), check.Hints, check.Problem, "the fingerprint of hint 1", false},
		{"hints without numbers", append([]check.File{edited(hints, `"id"`, `"no"`)}, svids...), check.Hints, check.Problem, "hint 1 has no id", false},
		{"hints that are none", []check.File{{Path: "hints.json", Data: []byte(`{"hints": 5}`)}}, check.Hints, check.Problem, "has to be an array", false},
		{"a SPIFFE bundle", []check.File{golden(t, "all-example.org.json", check.Want{Kind: check.SPIFFEBundle})}, check.SPIFFEBundle, check.OK, "1 for X.509-SVIDs, 1 for JWT-SVIDs, 1 for WIT-SVIDs", true},
		{"a bundle map", []check.File{golden(t, "map.json", check.Want{Kind: check.SPIFFEBundle})}, check.BundleMap, check.OK, "other.example", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := check.Check([]check.Set{c.set}, check.Options{Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)})
			item := r.Files[0]
			if item.Kind != c.kind || item.Usable != c.usable {
				t.Errorf("kind %q, usable %v", item.Kind, item.Usable)
			}
			found := false
			for _, f := range item.Findings {
				found = found || f.Level == c.level && strings.Contains(f.Text, c.says)
				if strings.Contains(f.Text, right) || strings.Contains(f.Text, wrong) {
					t.Errorf("a password in %q", f.Text)
				}
			}
			if !found {
				t.Errorf("no %s with %q in %v", c.level, c.says, item.Findings)
			}
		})
	}
}
