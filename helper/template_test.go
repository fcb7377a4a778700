//go:build unix

package helper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/check"
	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// TestTemplatesOnDisk: the file of a template changes with the certificate that it is
// of, in one step; one with a secret is its owner's alone. An edit of a template takes
// effect as an edit of the configuration does, and a restart in an outage starts from
// the disk.
func TestTemplatesOnDisk(t *testing.T) {
	t.Parallel()
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	certs, record, tmpl := filepath.Join(dir, "certs"), filepath.Join(dir, "record"), filepath.Join(dir, "tmpl", "map.tmpl")
	edit := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(tmpl), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tmpl, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("serial {{ .x509_svid.serial }}\n")
	text := fmt.Sprintf(`
output %q {
  x509_svid {}
  jwt_svid {
    audience = ["vault"]
    file     = "vault.jwt"
  }
  template "map.conf" {
    from = %q
  }
  template "pass/word" {
    content = "{{ token .jwt_svid }}"
  }
}
`, certs, tmpl) + childProcess(t, record, "")
	r := startDaemon(t, api, text)
	awaitStarted(t, record)
	serial := func() string { return snapshot.Serial(api.SVIDs()[0].Certificates[0].SerialNumber) }
	on := func(want string) {
		t.Helper()
		eventually(t, func() error {
			if got := read(certs, "map.conf"); got != want {
				return notYet("%q is on disk, not %q", got, want)
			}
			return nil
		})
	}
	on("serial " + serial() + "\n")
	if got, want := read(certs, "pass", "word"), read(certs, "vault.jwt"); got != want || got == "" {
		t.Errorf("%q is on disk, and the token is %q", got, want)
	}
	for name, want := range map[string]os.FileMode{"map.conf": 0o644, "pass/word": 0o600} {
		if info, err := os.Stat(filepath.Join(certs, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info, err, want)
		}
	}

	// in no generation does the file name another certificate
	seen := map[string]bool{}
	for range 5 {
		api.Rotate()
		on("serial " + serial() + "\n")
		gen, err := os.Readlink(filepath.Join(certs, "..data"))
		if err != nil {
			t.Fatal(err)
		}
		leaf, file := leafOnDisk(t, certs, gen, "svid.pem"), read(certs, gen, "map.conf")
		if want := "serial " + snapshot.Serial(leaf.SerialNumber) + "\n"; file != want {
			t.Errorf("generation %s: %q, and the certificate is %q", gen, file, want)
		}
		seen[file] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d files of 5 rotations", len(seen))
	}

	told := strings.Count(read(record), "hangup")
	edit("now {{ .x509_svid.serial }}\n")
	on("now " + serial() + "\n")
	eventually(t, func() error {
		if strings.Count(read(record), "hangup") <= told {
			return notYet("the process was not told of the edit")
		}
		return nil
	})
	edit("{{ .x509_svid.seral }}\n")
	r.log.Await(t, 1, "is not valid, the running one stays", "map.tmpl:1:13")
	api.Rotate()
	on("now " + serial() + "\n")
	edit("now {{ .x509_svid.serial }}\n")
	r.log.Await(t, 1, "the file says again what is running")

	c, _, ds := config.Check(r.file)
	if c == nil {
		t.Fatal(ds)
	}
	if report := check.Check(ConfiguredFiles(c), check.Options{Now: time.Now()}); !report.Usable || !strings.Contains(textOf(t, report), "pass/word: companion file") {
		t.Error(textOf(t, report))
	}

	r.stop()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	faults.Freeze() // an outage
	started := strings.Count(read(record), "started")
	again := startDaemonAt(t, api, r.file)
	eventually(t, func() error {
		if strings.Count(read(record), "started") == started {
			return notYet("not started on the disk")
		}
		return nil
	})
	again.stop()
	if err := again.end(); err != nil {
		t.Fatal(err)
	}
	faults.Heal()
}

// TestTemplateInANewDirectory: a template is followed from the edit of the configuration
// on that names it, in whatever directory, and one that is missing is found when it comes.
func TestTemplateInANewDirectory(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	with := func(template string) string { return fmt.Sprintf("output %q {\n x509_svid {}\n%s\n}", certs, template) }
	named := func(where string) (tmpl, text string) {
		tmpl = filepath.Join(dir, where, "map.tmpl")
		return tmpl, with(fmt.Sprintf("template \"map.conf\" { from = %q }", tmpl))
	}
	edit := func(tmpl, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(tmpl), 0o755), os.WriteFile(tmpl, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	on := func(want string) {
		t.Helper()
		eventually(t, func() error {
			if got := read(certs, "map.conf"); got != want {
				return notYet("%q is on disk, not %q", got, want)
			}
			return nil
		})
	}
	r := startDaemon(t, api, with(""))
	r.log.Await(t, 1, "published")
	first, text := named("first")
	edit(first, "one")
	r.write(text)
	on("one")
	edit(first, "two")
	on("two")

	second, text := named("second")
	r.write(text)
	r.log.Await(t, 1, "is not valid, the running one stays", "cannot read the template")
	edit(second, "three")
	on("three")
	edit(second, "four")
	on("four")
}

// TestTemplateOfAWithdrawnIdentity: what a template has made of a token leaves the disk
// with the token, and nobody is told.
func TestTemplateOfAWithdrawnIdentity(t *testing.T) {
	t.Parallel()
	web, db := devapi.Identity{ID: spiffeid.RequireFromPath(td(), "/web")}, devapi.Identity{ID: spiffeid.RequireFromPath(td(), "/db")}
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, Identities: []devapi.Identity{web, db}})
	dir := t.TempDir()
	certs, record := filepath.Join(dir, "certs"), filepath.Join(dir, "record")
	r := startDaemon(t, api, fmt.Sprintf(`
on_revoked       = "remove"
revocation_grace = "10ms"

output %q {
  x509_svid {
    spiffe_id = "spiffe://example.org/web"
  }
  jwt_svid {
    audience  = ["vault"]
    file      = "vault.jwt"
    spiffe_id = "spiffe://example.org/web"
  }
  template "password" {
    content = "{{ token .jwt_svid }}"
  }
  template "count" {
    content = "{{ len .identities }}"
  }
}
`, certs)+childProcess(t, record, "on = [\"x509\", \"bundle\", \"jwt\", \"wit\"]"))
	awaitStarted(t, record)
	token := read(certs, "vault.jwt")
	if err := api.SetIdentities(db); err != nil {
		t.Fatal(err)
	}
	r.log.Await(t, 1, "removed: the identity is refused", "password")
	awaitOneGeneration(t, certs)
	for name, content := range snapshotDir(t, certs) {
		if strings.Contains(content, token) || strings.HasSuffix(name, "password") {
			t.Errorf("the token is still in %s", name)
		}
	}
	if err := api.SetIdentities(web, db); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if got, err := os.ReadFile(filepath.Join(certs, "password")); err != nil || string(got) != read(certs, "vault.jwt") {
			return notYet("the token is not back: %q, %v", got, err)
		}
		return nil
	})
}
