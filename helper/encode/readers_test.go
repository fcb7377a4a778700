package encode

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/svidhelper/svidhelper/helper/testbed"
	"google.golang.org/grpc/credentials/tls/certprovider/pemfile"
)

// readable writes every form into a directory for others to read.
func readable(t *testing.T) string {
	t.Helper()
	set, err := tryEncode(fixedEncoder(everyForm(), unpublished), fixed(t))
	must(t, err)
	dir := t.TempDir()
	for _, f := range set.Files {
		must(t, os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600))
	}
	return dir
}

// TestOpenSSLReads has openssl read every form that it knows, and compares the keys.
func TestOpenSSLReads(t *testing.T) {
	dir := readable(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	public := testbed.Run(t, "openssl", "x509", "-in", at("tls.crt"), "-noout", "-pubkey")
	const pass = "pass:changeit"
	for name, args := range map[string][]string{
		"tls.key":               {},
		"tls.key.der":           {"-inform", "DER"},
		"traditional.key":       {},
		"traditional.key.der":   {"-inform", "DER"},
		"encrypted.key":         {"-passin", pass},
		"encrypted.key.der":     {"-inform", "DER", "-passin", pass},
		"encrypted.pem":         {"-passin", pass},
		"credential-bundle.pem": {},
	} {
		if out := testbed.Run(t, "openssl", append([]string{"pkey", "-in", at(name), "-pubout"}, args...)...); out != public {
			t.Errorf("%s holds the key\n%s", name, out)
		}
	}
	for _, name := range []string{"tls.der", "ca.der", "bundle.der"} {
		if out := testbed.Run(t, "openssl", "x509", "-inform", "DER", "-in", at(name), "-noout", "-ext", "subjectAltName"); !strings.Contains(out, "URI:spiffe://example.org") {
			t.Errorf("%s: %s", name, out)
		}
	}
	for name, certs := range map[string]int{"modern.p12": 3, "legacy.p12": 3, "none.p12": 3, "ewallet.p12": 3, "trust.p12": 1, "trust-legacy.p12": 1, "trust-none.p12": 1, "bundle.p12": 1} {
		out := testbed.Run(t, "openssl", "pkcs12", "-in", at(name), "-passin", pass, "-nodes")
		keys := 0
		if certs > 1 {
			keys = 1
		}
		if strings.Count(out, "BEGIN CERTIFICATE") != certs || strings.Count(out, "BEGIN PRIVATE KEY") != keys {
			t.Errorf("%s: %s", name, out)
		}
	}
	if out := testbed.Run(t, "openssl", "pkcs12", "-in", at("modern.p12"), "-passin", pass, "-nodes"); !strings.Contains(out, "friendlyName: web") {
		t.Errorf("no alias: %s", out)
	}
	info := testbed.Run(t, "openssl", "pkcs12", "-in", at("legacy.p12"), "-passin", pass, "-info", "-noout")
	if !strings.Contains(info, "MAC: sha1") || strings.Count(info, "pbeWithSHA1And3-KeyTripleDES-CBC") != 2 {
		t.Errorf("legacy: %s", info)
	}
	if info := testbed.Run(t, "openssl", "pkcs12", "-in", at("none.p12"), "-passin", "pass:", "-info", "-noout"); strings.Contains(info, "Encrypted") || strings.Contains(info, "PBES2") {
		t.Errorf("none: %s", info)
	}
}

// TestKeytoolReads has Java read every keystore and trust store.
func TestKeytoolReads(t *testing.T) {
	dir := readable(t)
	for name, want := range map[string][]string{
		"modern.p12":       {"2 entries", "web,", "PrivateKeyEntry", "example.org-0,", "trustedCertEntry"},
		"legacy.p12":       {"2 entries", "web,", "PrivateKeyEntry", "example.org-0,", "trustedCertEntry"},
		"none.p12":         {"1 entry", "example.org-0,", "trustedCertEntry"}, // Java passes over a key that is not encrypted
		"ewallet.p12":      {"1 entry", "web,", "PrivateKeyEntry"},
		"store.jks":        {"2 entries", "web,", "PrivateKeyEntry", "example.org-0,", "trustedCertEntry"},
		"trust-legacy.p12": {"1 entry", "example.org-0,", "trustedCertEntry"},
		"trust-none.p12":   {"1 entry", "example.org-0,", "trustedCertEntry"},
		"trust.jks":        {"1 entry", "example.org-0,", "trustedCertEntry"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-list", "-keystore", filepath.Join(dir, name), "-storepass", "changeit"}
			if strings.Contains(name, "none") {
				args = args[:3]
			}
			out := testbed.Run(t, "keytool", args...)
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in %s", w, out)
				}
			}
		})
	}
}

// TestGoReads has the libraries of Go, go-spiffe and gRPC read what is theirs.
func TestGoReads(t *testing.T) {
	dir := readable(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) []byte {
		data, err := os.ReadFile(at(name))
		must(t, err)
		return data
	}
	want := fixed(t)
	t.Run("credential bundle", func(t *testing.T) {
		for _, name := range []string{"credential-bundle.pem", "credential-bundle.private-key.x509.pem"} {
			pair, err := tls.LoadX509KeyPair(at(name), at(name)) // as what reads a pod certificate does
			must(t, err)
			if len(pair.Certificate) != 2 {
				t.Errorf("%s has %d certificates", name, len(pair.Certificate))
			}
			first, _ := pem.Decode(read(name))
			if first.Type != "PRIVATE KEY" {
				t.Errorf("%s begins with %s", name, first.Type)
			}
			svid, err := x509svid.Load(at(name), at(name))
			must(t, err)
			if svid.ID != want.X509.SVIDs[0].ID {
				t.Errorf("%s is of %s", name, svid.ID)
			}
		}
	})
	t.Run("DER", func(t *testing.T) {
		svid, err := x509svid.ParseRaw(read("tls.der"), read("tls.key.der"))
		must(t, err)
		bundle, err := x509bundle.ParseRaw(td("example.org"), read("bundle.der"))
		must(t, err)
		if _, _, err := x509svid.Verify(svid.Certificates, bundle); err != nil {
			t.Error(err)
		}
		if key, err := x509.ParseECPrivateKey(read("traditional.key.der")); err != nil || !key.Equal(svid.PrivateKey) {
			t.Errorf("another key: %v", err)
		}
	})
	t.Run("SPIFFE bundle", func(t *testing.T) {
		for name, has := range map[string][3]int{"example.org": {1, 1, 0}, "all-example.org": {1, 1, 1}, "other.example": {1, 0, 0}} {
			b, err := spiffebundle.Parse(td("example.org"), read(name+".json"))
			must(t, err)
			if got := [3]int{len(b.X509Authorities()), len(b.JWTAuthorities()), len(b.WITAuthorities())}; got != has {
				t.Errorf("%s has %v authorities, want %v", name, got, has)
			}
			if sequence, ok := b.SequenceNumber(); !ok || sequence != uint64(fixedTime.Unix()) {
				t.Errorf("%s: spiffe_sequence %d", name, sequence)
			}
			hint := 10 * time.Minute
			if name == "all-example.org" {
				hint = DefaultRefreshHint
			}
			if got, ok := b.RefreshHint(); !ok || got != hint {
				t.Errorf("%s: spiffe_refresh_hint %v", name, got)
			}
		}
	})
	t.Run("bundle map", func(t *testing.T) {
		provider, err := pemfile.NewProvider(pemfile.Options{SPIFFEBundleMapFile: at("map.json"), RefreshDuration: time.Hour})
		must(t, err)
		defer provider.Close()
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		material, err := provider.KeyMaterial(ctx)
		must(t, err)
		if names := slices.Sorted(maps.Keys(material.SPIFFEBundleMap)); !slices.Equal(names, []string{"example.org", "other.example"}) {
			t.Errorf("gRPC trusts %q", names)
		}
		for i, name := range []string{"example.org", "other.example"} {
			b := material.SPIFFEBundleMap[name]
			if !sameCerts(b.X509Authorities(), want.X509Bundles.Bundles[i].X509Authorities()) || len(b.JWTAuthorities()) != 0 {
				t.Errorf("gRPC has other authorities of %s", name)
			}
			if _, has := b.RefreshHint(); has {
				t.Errorf("%s has a refresh hint", name)
			}
		}
	})
}

// TestHintsAreOfFiles has sha256sum compare the fingerprints of hints.json.
func TestHintsAreOfFiles(t *testing.T) {
	dir := readable(t)
	data, err := os.ReadFile(filepath.Join(dir, "hints.json"))
	must(t, err)
	var hints struct {
		Hints []struct {
			Hint, Fingerprint string
			ID                int
		}
	}
	must(t, json.Unmarshal(data, &hints))
	if len(hints.Hints) != 2 || hints.Hints[0].Hint != "internal" || hints.Hints[1].ID != 1 {
		t.Fatalf("%s", data)
	}
	for i, name := range []string{"credential-bundle.private-key.x509.pem", "1.credential-bundle.private-key.x509.pem"} {
		if sum, _, _ := strings.Cut(testbed.Run(t, "sha256sum", filepath.Join(dir, name)), " "); hints.Hints[i].Fingerprint != "sha256:"+sum {
			t.Errorf("%s: %s, sha256sum says %s", name, hints.Hints[i].Fingerprint, sum)
		}
	}
}
