//go:build unix

package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// A twoSteps is an output whose bundle goes first, and a gate in the hook that is
// told of it.
type twoSteps struct {
	*daemonRun
	t     *testing.T
	api   *devapi.Server
	certs string
	gate  string // the hook ends when it is there
	ready string // where health is
}

// startTwoSteps has a hook whose command ends when the test opens the gate.
func startTwoSteps(t *testing.T, keys string) *twoSteps {
	t.Helper()
	return startTwoStepsWith(t, devapi.Config{ManualRotation: true}, keys)
}

func startTwoStepsWith(t *testing.T, c devapi.Config, keys string) *twoSteps {
	t.Helper()
	s := &twoSteps{t: t, certs: filepath.Join(t.TempDir(), "certs"), gate: filepath.Join(t.TempDir(), "gate")}
	s.api, _ = devapitest.Start(t, c)
	s.open()
	s.ready = freeAddress(t)
	text := fmt.Sprintf(`
health {
  address = %q
}
output %q {
  %s
  x509_svid {}
  x509_bundle {
    file          = "authorities.pem"
    trust_domains = ["example.org"]
  }
}
hook "gate" {
  command = ["sh", "-c", "while ! test -e %s; do sleep 0.05; done"]
  timeout = "10m"
}
`, s.ready, s.certs, keys, s.gate)
	s.daemonRun = startDaemon(t, s.api, text)
	s.on("at first", 1, s.leaf())
	return s
}

func (s *twoSteps) leaf() string { return fmt.Sprint(s.api.SVIDs()[0].Certificates[0].SerialNumber) }

func (s *twoSteps) open() {
	s.t.Helper()
	if err := os.WriteFile(s.gate, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *twoSteps) shut() {
	s.t.Helper()
	if err := os.Remove(s.gate); err != nil {
		s.t.Fatal(err)
	}
}

// on waits until that many authorities and that leaf are on disk.
func (s *twoSteps) on(step string, authorities int, leaf string) {
	s.t.Helper()
	s.onBundle(step, "authorities.pem", authorities, leaf)
	s.onBundle(step, "svid_bundle.pem", authorities, leaf)
}

// onBundle is on, with one of the two bundles alone.
func (s *twoSteps) onBundle(step, name string, authorities int, leaf string) {
	s.t.Helper()
	eventually(s.t, func() error {
		for _, name := range []string{name, "svid.pem"} {
			if _, err := os.Stat(filepath.Join(s.certs, name)); err != nil {
				return notYet("%s: %v", step, err)
			}
		}
		n, got := len(certificates(s.t, s.certs, name)), fmt.Sprint(leafOnDisk(s.t, s.certs, "svid.pem").SerialNumber)
		if n != authorities || got != leaf {
			return notYet("%s: %d authorities in %s and leaf %s on disk, want %d and %s", step, n, name, got, authorities, leaf)
		}
		return nil
	})
}

// replace has the trust domain change its authority, and issue with the new one.
func (s *twoSteps) replace() (leaf string) {
	s.t.Helper()
	if err := s.api.AddAuthority(td()); err != nil {
		s.t.Fatal(err)
	}
	s.api.Rotate()
	return s.leaf()
}

func td() spiffeid.TrustDomain { return devapi.DefaultID.TrustDomain() }

// TestBundleFirst: the leaf of a new authority follows its bundle once that has
// arrived; ready stays, and says what waits. The old authority stays for a while.
func TestBundleFirst(t *testing.T) {
	t.Parallel()
	s := startTwoSteps(t, "bundle_first = true\n bundle_lead = \"0s\"\n bundle_linger = \"2s\"")
	old := s.leaf()
	s.shut()
	serial := s.replace()
	s.log.Await(t, 1, "a new leaf waits until its authority has arrived")
	s.on("while the hook's command runs", 2, old)
	if status, body, err := get("http://" + s.ready + "/ready"); err != nil || status != 200 || !strings.Contains(body, "waits until its authority has arrived") {
		t.Errorf("/ready is %d, %s, %v", status, body, err)
	}
	s.open()
	s.on("after it", 2, serial)
	left := time.Now()
	if err := s.api.RetireAuthorities(td()); err != nil {
		t.Fatal(err)
	}
	s.on("in the end", 1, serial)
	if stayed := time.Since(left); stayed < 2*time.Second {
		t.Errorf("the old authority stayed for %v", stayed)
	}
}

// TestBundleFirstLead: the leaf leaves the peers their time.
func TestBundleFirstLead(t *testing.T) {
	t.Parallel()
	s := startTwoSteps(t, "bundle_first = true\n bundle_lead = \"2s\"")
	began := time.Now()
	serial := s.replace()
	s.on("in the end", 2, serial)
	if waited := time.Since(began); waited < 2*time.Second {
		t.Errorf("the new leaf waited for %v", waited)
	}
}

// TestBundleFirstWithoutTargets: where nobody is told, the leaf follows by itself.
func TestBundleFirstWithoutTargets(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	certs := filepath.Join(t.TempDir(), "certs")
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n bundle_first = true\n bundle_lead = \"0s\"\n x509_svid {}\n}", certs))
	r.log.Await(t, 1, "published")
	s := &twoSteps{daemonRun: r, t: t, api: api, certs: certs}
	serial := s.replace()
	s.onBundle("in the end", "svid_bundle.pem", 2, serial)
}

// TestBundleFirstIsBounded: a bundle that never arrives costs no leaf its life.
func TestBundleFirstIsBounded(t *testing.T) {
	t.Parallel()
	s := startTwoStepsWith(t, devapi.Config{ManualRotation: true, TTL: 9 * time.Second}, "bundle_first = true")
	s.shut()
	serial := s.replace()
	s.log.Await(t, 1, "a new leaf follows, although its authority has not arrived everywhere", "gate")
	s.on("in the end", 2, serial)
	s.open()
}

// TestBundleFirstRestart: a helper that is started anew goes on with what is on
// disk: the old leaf waits again, and then the old authority lingers.
func TestBundleFirstRestart(t *testing.T) {
	t.Parallel()
	s := startTwoSteps(t, "bundle_first = true\n bundle_lead = \"0s\"\n bundle_linger = \"1h\"")
	old := s.leaf()
	s.shut()
	serial := s.replace()
	s.log.Await(t, 1, "a new leaf waits until its authority has arrived")
	again := func() {
		t.Helper()
		s.stop()
		if err := s.end(); err != nil {
			t.Fatal(err)
		}
		s.daemonRun = startDaemonAt(t, s.api, s.file)
	}
	again()
	s.log.Await(t, 1, "a new leaf waits until its authority has arrived")
	s.on("started anew", 2, old)
	s.open()
	s.on("after the hook's command", 2, serial)
	if err := s.api.RetireAuthorities(td()); err != nil {
		t.Fatal(err)
	}
	again()
	s.api.Rotate() // what is on disk now is of this run
	s.onBundle("the old authority lingers", "svid_bundle.pem", 2, s.leaf())
}

// TestNotBundleFirst: without the key, all of an answer is on disk at once.
func TestNotBundleFirst(t *testing.T) {
	t.Parallel()
	s := startTwoSteps(t, "")
	s.shut()
	serial := s.replace()
	s.on("at once", 2, serial)
	if err := s.api.RetireAuthorities(td()); err != nil {
		t.Fatal(err)
	}
	s.on("and the old authority goes", 1, serial)
	s.open()
}

// TestBundleFirstRestartWithAll: what is on disk is of several identities, of which
// two have one SPIFFE ID; a restart waits for nobody else's authority.
func TestBundleFirstRestartWithAll(t *testing.T) {
	t.Parallel()
	td := td()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, Identities: []devapi.Identity{
		{ID: spiffeid.RequireFromPath(td, "/web"), Hint: "internal"}, {ID: spiffeid.RequireFromPath(td, "/web"), Hint: "external"}, {ID: spiffeid.RequireFromPath(td, "/db")},
	}})
	certs := filepath.Join(t.TempDir(), "certs")
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  bundle_first = true
  bundle_lead  = "0s"
  x509_svid {
    all    = true
    cert   = "{index}.pem"
    key    = "{index}.key"
    bundle = "{index}.ca"
  }
}`, certs))
	on := func(step string) {
		t.Helper()
		eventually(t, func() error {
			for i, svid := range api.SVIDs() {
				name := filepath.Join(certs, fmt.Sprint(i, ".pem"))
				if _, err := os.Stat(name); err != nil {
					return notYet("%s: %v", step, err)
				}
				if got := leafOnDisk(t, name).SerialNumber; got.Cmp(svid.Certificates[0].SerialNumber) != 0 {
					return notYet("%s: leaf %v in %s, want %v", step, got, name, svid.Certificates[0].SerialNumber)
				}
			}
			return nil
		})
	}
	on("at first")
	r.stop()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if err := api.AddAuthority(td); err != nil {
		t.Fatal(err)
	}
	api.Rotate()
	startDaemonAt(t, api, r.file)
	on("started anew")
}
