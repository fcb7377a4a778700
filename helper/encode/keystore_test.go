package encode

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool returns the path of a program that consumes what is published.
func tool(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		if p = "/usr/sbin/" + name; exec.Command(p, "-v").Run() == nil {
			return p
		}
		if os.Getenv("SVIDHELPER_TEST_STRICT") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return p
}

// run runs a program and returns what it says.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestKeystoresOpen has the programs that keystores are made for open them.
func TestKeystoresOpen(t *testing.T) {
	o, dir := trio(), t.TempDir()
	x := &o.X509SVIDs[0]
	x.PKCS12 = &Keystore{File: FileSpec{Name: "store.p12"}, Password: "changeit", Alias: "web"}
	x.JKS = &Keystore{File: FileSpec{Name: "store.jks"}, Password: "changeit"}
	s := newAuthority(t, "example.org").answer(t)
	set := encode(t, s, o)
	p12, jks := filepath.Join(dir, "store.p12"), filepath.Join(dir, "store.jks")
	must(t, os.WriteFile(p12, set.file(t, "store.p12").Data, 0o600))
	must(t, os.WriteFile(jks, set.file(t, "store.jks").Data, 0o600))
	t.Run("openssl", func(t *testing.T) {
		out := run(t, "openssl", "pkcs12", "-in", p12, "-passin", "pass:changeit", "-nodes")
		if strings.Count(out, "BEGIN CERTIFICATE") != 3 || strings.Count(out, "BEGIN PRIVATE KEY") != 1 || !strings.Contains(out, "friendlyName: web") {
			t.Errorf("%s", out)
		}
		key := out[strings.Index(out, "-----BEGIN PRIVATE KEY"):]
		if _, err := tls.X509KeyPair(set.file(t, "tls.crt").Data, []byte(key)); err != nil {
			t.Error(err)
		}
	})
	t.Run("keytool", func(t *testing.T) {
		for store, alias := range map[string]string{p12: "web", jks: "spiffe://example.org/web"} {
			out := run(t, "keytool", "-list", "-keystore", store, "-storepass", "changeit")
			if !strings.Contains(out, "contains 2 entries") || !strings.Contains(out, alias+",") ||
				!strings.Contains(out, "PrivateKeyEntry") || !strings.Contains(out, "trustedCertEntry") {
				t.Errorf("%s: %s", store, out)
			}
		}
	})
}
