//go:build unix

package helper

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/check"
	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
)

// TestConfiguredFilesWithPlaceholders: the files of names that an answer fills in
// are found, each is what the configuration says, and each pair is of one SVID.
func TestConfiguredFilesWithPlaceholders(t *testing.T) {
	dir := t.TempDir()
	text := `output "` + dir + `" {
  x509_svid {
    all    = true
    cert   = "svids/{index}.pem"
    key    = "svids/{index}.key"
    bundle = "svids/{index}-ca.pem"
    federated_bundles = "separate"
  }
  jwt_bundle {
    file = "jwt/{trust_domain}.json"
    format = "spiffe"
  }
  jwt_svid {
    audience = ["vault"]
    file = "vault.jwt"
  }
}
`
	ids := []devapi.Identity{{ID: spiffeid.RequireFromString("spiffe://example.org/a")}, {ID: spiffeid.RequireFromString("spiffe://example.org/b")}}
	c := published(t, text, devapi.Config{Identities: ids, Federated: []spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("other.org")}, ManualRotation: true})

	r := check.Check(ConfiguredFiles(c), check.Options{Now: time.Now()})
	if !r.Usable || len(r.Files) != 6+1+2+1 {
		t.Fatalf("%d files: %s", len(r.Files), textOf(t, r))
	}
	if text := textOf(t, r); strings.Contains(text, "warning") || !strings.Contains(text, "svids/1.pem: X.509-SVID of spiffe://example.org/b") {
		t.Error(text)
	}
	if err := os.Rename(filepath.Join(dir, "svids/1.key"), filepath.Join(dir, "svids/2.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "svids/2.key"), []byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := check.Check(ConfiguredFiles(c), check.Options{Now: time.Now()}); r.Usable {
		t.Errorf("without a key: %s", textOf(t, r))
	}
}

// TestDirectoryFiles: what is in a directory is read once, whatever it is: links of
// a publish lead to no second look, and nothing that could block is opened.
func TestDirectoryFiles(t *testing.T) {
	dir := t.TempDir()
	published(t, `output "`+dir+`" {
  x509_svid { }
}
`, devapi.Config{ManualRotation: true})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"zero": "/dev/zero", "loop": "loop", "up": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := large.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	large.Close()
	set, err := DirectoryFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range set {
		names = append(names, filepath.Base(f.Path))
		if f.Path == large.Name() && (f.Err == nil || len(f.Data) > 0) {
			t.Errorf("%d bytes of a large file are read: %v", len(f.Data), f.Err)
		}
	}
	if got := strings.Join(names, " "); got != "large loop svid.pem svid_bundle.pem svid_key.pem" {
		t.Errorf("read are %s", got)
	}
}

// published is a configuration whose files have been fetched once.
func published(t *testing.T, text string, d devapi.Config) *config.Config {
	t.Helper()
	c, diagnostics := config.Parse("helper.conf", []byte(text))
	if err := diagnostics.Err(); err != nil {
		t.Fatal(err)
	}
	api, err := devapi.New(d)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "api-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := api.Start("unix://" + filepath.Join(dir, "api.sock")); err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	c.AgentAddress, c.Timeout = api.Addr(), patience
	if err := Once(t.Context(), c, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return c
}

func textOf(t *testing.T, r *check.Report) string {
	t.Helper()
	var out strings.Builder
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
