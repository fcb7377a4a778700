//go:build unix

package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/check"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// forms are blocks with every form that keys and bundles are written in.
var forms = map[string]string{
	"keystores alone": `x509_svid {
    pkcs12 {
      file     = "tls.p12"
      password = "changeit"
    }
    jks {
      file     = "tls.jks"
      password = "changeit"
    }
  }`,
	"keystores with a root": `x509_svid {
    cert = "root.crt"
    pkcs12 {
      file          = "root.p12"
      password_file = "PASSWORD"
      encryption    = "legacy"
      root          = true
    }
    jks {
      file     = "root.jks"
      password = "changeit"
      root     = true
    }
  }`,
	"no password": `x509_svid {
    pkcs12 {
      file       = "none.p12"
      encryption = "none"
    }
    truststore {
      file       = "none-trust.p12"
      format     = "pkcs12"
      encryption = "none"
    }
  }`,
	"trust stores": `x509_svid {
    combined = "combined.pem"
    truststore {
      file     = "trust.jks"
      format   = "jks"
      password = "changeit"
    }
  }
  x509_bundle {
    file          = "trust.p12"
    trust_domains = ["example.org"]
    format        = "pkcs12"
    password_file = "PASSWORD"
  }
  x509_bundle {
    file          = "trust.der"
    trust_domains = ["example.org"]
    format        = "der"
  }`,
	"DER": `x509_svid {
    cert     = "tls.der"
    key      = "tls.key.der"
    bundle   = "ca.der"
    encoding = "der"
  }
  x509_svid {
    key          = "sec1.der"
    cert         = "sec1.crt.der"
    encoding     = "der"
    key_encoding = "traditional"
  }`,
	"encrypted keys": `x509_svid {
    cert              = "tls.crt"
    key               = "encrypted.key"
    combined          = "encrypted.pem"
    key_password_file = "PASSWORD"
  }
  x509_svid {
    cert         = "enc.crt.der"
    key          = "enc.key.der"
    encoding     = "der"
    key_password = "changeit"
  }`,
	"SPIFFE bundles": `x509_svid { }
  spiffe_bundle {
    file = "{trust_domain}.json"
  }
  spiffe_bundle {
    file   = "map.json"
    format = "map"
  }`,
	"layout spiffe":      `layout = "spiffe"`,
	"layout spire-agent": `layout = "spire-agent"`,
}

// formsOf is an output with some forms.
func formsOf(t *testing.T, dir, blocks string) string {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("changeit\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("output %q {\n  %s\n}\n", dir, strings.ReplaceAll(blocks, "PASSWORD", password))
}

func formsAPI() devapi.Config {
	id := func(path string) devapi.Identity {
		return devapi.Identity{ID: spiffeid.RequireFromString("spiffe://example.org" + path)}
	}
	return devapi.Config{Identities: []devapi.Identity{id("/web"), id("/db")}, Federated: []spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("other.example")}, ManualRotation: true}
}

// TestFormsAreChecked: every form is known to check, by what the configuration says and
// by its content alone.
func TestFormsAreChecked(t *testing.T) {
	for name, blocks := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := published(t, formsOf(t, dir, blocks), formsAPI())
			options := check.Options{Now: time.Now()}
			r := check.Check(ConfiguredFiles(c), options)
			if text := textOf(t, r); !r.Usable || strings.Contains(text, "encrypted:") || strings.Contains(text, "not opened") {
				t.Errorf("as configured: %s", text)
			}
			set, err := DirectoryFiles(dir)
			if err != nil {
				t.Fatal(err)
			}
			if r := check.Check([]check.Set{set}, options); !r.Usable || len(r.Files) != len(set) {
				t.Errorf("%d of %d files are known: %s", len(r.Files), len(set), textOf(t, r))
			}
			password := "changeit"
			for i := range set {
				set[i].Want.Password = &password
			}
			if r := check.Check([]check.Set{set}, options); !r.Usable || strings.Contains(textOf(t, r), "not opened") {
				t.Errorf("with the password: %s", textOf(t, r))
			}
		})
	}
}

// TestFormsStartFromDisk: a restart in an outage starts the process, whatever the form
// of what is on disk.
func TestFormsStartFromDisk(t *testing.T) {
	for name, blocks := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, _ := devapitest.Start(t, formsAPI())
			dir := t.TempDir()
			record := filepath.Join(dir, "record")
			text := formsOf(t, filepath.Join(dir, "out"), blocks) + childProcess(t, record, `on_rotation = "SIGHUP"`)
			first := startDaemon(t, api, text)
			awaitStarted(t, record)
			first.stop()
			first.end()
			api.Down()
			if err := os.Remove(record); err != nil {
				t.Fatal(err)
			}
			second := startDaemon(t, api, text)
			second.log.Await(t, 1, "process started")
			awaitStarted(t, record)
		})
	}
}

// TestRefusedSPIFFEBundle: a document leaves the disk when one of its profiles is
// refused for long, whatever the others answer, and comes back with that profile, newer
// than before. What needs another profile alone stays.
func TestRefusedSPIFFEBundle(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	r := startDaemon(t, api, fmt.Sprintf(`
on_revoked       = "remove"
revocation_grace = "100ms"
output %q {
  spiffe_bundle {
    file          = "document.json"
    trust_domains = ["example.org"]
  }
  spiffe_bundle {
    file   = "map.json"
    format = "map"
  }
}
`, dir))
	sequence := func() (n uint64) {
		if b, err := spiffebundle.Parse(devapi.DefaultID.TrustDomain(), []byte(read(dir, "document.json"))); err == nil {
			n, _ = b.SequenceNumber()
		}
		return n
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		eventually(t, func() error {
			if !holds() {
				return notYet("%s: the document has sequence %d", what, sequence())
			}
			return nil
		})
	}
	until("first", func() bool { return sequence() > 0 })
	first, before := sequence(), read(dir, "map.json")
	faults.Deny(devapi.FetchJWTBundles)
	r.log.Await(t, 1, "removed: the identity is refused", "document.json")
	if err := api.AddAuthority(devapi.DefaultID.TrustDomain()); err != nil {
		t.Fatal(err)
	}
	until("a new X.509 authority", func() bool { return read(dir, "map.json") != before })
	if n := sequence(); n != 0 {
		t.Errorf("the answer of another profile has brought the document back, with sequence %d", n)
	}
	faults.Heal()
	until("healed", func() bool { return sequence() > first })
}
