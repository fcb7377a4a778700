package helper

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// leafOf returns the path of the SPIFFE ID in a certificate file.
func leafOf(t *testing.T, path ...string) string {
	t.Helper()
	return leafOnDisk(t, path...).URIs[0].Path
}

// TestSeveralIdentities: each output has the identity that it asks for, by hint,
// by SPIFFE ID, or all of them. One whose identity is not allowed any more, or
// does not come any more, keeps its last good set and makes the helper not
// ready; the others go on.
func TestSeveralIdentities(t *testing.T) {
	identity := func(name string) devapi.Identity {
		return devapi.Identity{ID: spiffeid.RequireFromPath(devapi.DefaultID.TrustDomain(), "/"+name), Hint: name + "-hint"}
	}
	web, db, admin := identity("web"), identity("db"), identity("admin")
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, Identities: []devapi.Identity{web, db}})
	dir, address := t.TempDir(), freeAddress(t)
	in := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	startDaemon(t, api, fmt.Sprintf(`
revocation_grace = "100ms"
output %q {
  x509_svid { hint = "db-hint" }
}
output %q {
  x509_svid { spiffe_id = "spiffe://example.org/web" }
}
output %q {
  x509_svid {
    all  = true
    cert = "{hint}.pem"
    key  = "{hint}.key"
  }
}
output %q {
  x509_svid { allow = ["spiffe://example.org/web", "spiffe://example.org/db"] }
}
health { address = %q }
`, in("hint"), in("id"), in("all"), in("allow"), address)+childProcess(t, in("record"), ""))
	awaitReady(t, address, http.StatusOK)
	for path, want := range map[string]string{
		"hint/svid.pem": "/db", "id/svid.pem": "/web", "allow/svid.pem": "/web",
		"all/web-hint.pem": "/web", "all/db-hint.pem": "/db",
	} {
		if got := leafOf(t, in(path)); got != want {
			t.Errorf("%s is %s's", path, got)
		}
	}
	awaitStarted(t, in("record"))

	// The default identity becomes one that is not allowed, and the one with the
	// hint goes.
	awaitOneGeneration(t, in("allow"))
	awaitOneGeneration(t, in("hint"))
	allow, hint := snapshotDir(t, in("allow")), snapshotDir(t, in("hint"))
	if err := api.SetIdentities(admin, web); err != nil {
		t.Fatal(err)
	}
	api.Rotate()
	serial := fmt.Sprint(api.SVIDs()[1].Certificates[0].SerialNumber)
	eventually(t, func() error {
		if got := fmt.Sprint(leafOnDisk(t, in("id"), "svid.pem").SerialNumber); got != serial {
			return notYet("%s is on disk, not %s", got, serial)
		}
		names, err := filepath.Glob(in("all", "*.pem"))
		if err != nil || !slices.Equal(names, []string{in("all", "admin-hint.pem"), in("all", "web-hint.pem")}) {
			return notYet("all: %q %v", names, err)
		}
		if !strings.Contains(read(in("record")), "hangup") {
			return notYet("the process was not told of the others")
		}
		return nil
	})
	if diff := differences(allow, snapshotDir(t, in("allow"))); len(diff) > 0 {
		t.Errorf("not allowed, and these differ: %q", diff)
	}
	if diff := differences(hint, snapshotDir(t, in("hint"))); len(diff) > 0 {
		t.Errorf("the hint is gone, and these differ: %q", diff)
	}
	for _, reason := range []string{
		in("allow"), "spiffe://example.org/admin is not allowed",
		in("hint"), `no X.509-SVID with hint \"db-hint\"`,
	} {
		eventually(t, func() error { // the process is told first
			status, body, err := get("http://" + address + "/ready")
			if status != http.StatusServiceUnavailable || !strings.Contains(body, reason) {
				return notYet("ready: %d %s %v; want the reason %s", status, body, err, reason)
			}
			return nil
		})
	}
	for _, name := range []string{
		fmt.Sprintf("svidhelper_output_failures_total{output=%q,reason=\"encode\"}", in("allow")),
		fmt.Sprintf("svidhelper_identity_refused_timestamp_seconds{output=%q,identity=\"X.509-SVID with hint \\\"db-hint\\\"\",spiffe_id=\"spiffe://example.org/db\",reason=\"absent\"}", in("hint")),
	} {
		if n := metric(t, address, name); n == 0 {
			t.Errorf("there is no %s:\n%s", name, metrics(t, address))
		}
	}

	if err := api.SetIdentities(web, db); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, address, http.StatusOK)
	if got := leafOf(t, in("hint", "svid.pem")); got != "/db" {
		t.Errorf("the hint's is %s's", got)
	}
}

// TestNotAllowedFromTheStart: nothing is on disk and nothing runs, and who asks
// is told why.
func TestNotAllowedFromTheStart(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir, address := t.TempDir(), freeAddress(t)
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid { allow = ["spiffe://example.org/other"] }
}
output %q {
  x509_svid {}
}
health { address = %q }
`, filepath.Join(dir, "a"), filepath.Join(dir, "b"), address)+childProcess(t, filepath.Join(dir, "record"), ""))
	r.log.Await(t, 1, "published", "/b")
	r.log.Await(t, 1, "not published", "/a", "is not allowed")
	eventually(t, func() error {
		status, body, err := get("http://" + address + "/ready")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "is not allowed") {
			return notYet("ready: %d %s %v", status, body, err)
		}
		return nil
	})
	if names, err := filepath.Glob(filepath.Join(dir, "a", "*.pem")); err != nil || len(names) > 0 {
		t.Errorf("on disk: %q %v", names, err)
	}
	if strings.Contains(r.log.String(), "process started") {
		t.Error("the process was started")
	}
}
