package helper

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/supervisor"
)

// TestStartsWhenComplete: two audiences are denied and X.509-SVIDs are not.
// Certificates are written at once; the process starts when its tokens are
// there too.
func TestStartsWhenComplete(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	faults.Deny(devapi.FetchJWTSVID)
	dir := t.TempDir()
	certs, record := filepath.Join(dir, "certs"), filepath.Join(dir, "record")
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {}
  jwt_svid {
    audience = ["a"]
    file     = "a.jwt"
  }
  jwt_svid {
    audience = ["b"]
    file     = "b.jwt"
  }
}`, certs)+childProcess(t, record, ""))
	r.log.Await(t, 1, "published", "x509")
	r.log.Await(t, 1, "waiting for the Workload API", "JWT-SVID for a", "JWT-SVID for b")
	if got := read(certs, "svid.pem"); !strings.HasPrefix(got, "-----BEGIN CERTIFICATE") {
		t.Errorf("svid.pem: %s", got)
	}
	if got := read(record); strings.Contains(got, "started") {
		t.Errorf("the process was started: %s", got)
	}

	faults.Heal()
	r.log.Await(t, 1, "process started")
	for _, f := range []string{"a.jwt", "b.jwt"} {
		if got := read(certs, f); strings.Count(got, ".") != 2 {
			t.Errorf("%s is not a token", f)
		}
	}
}

// TestDropInStartsWithoutRefusedTokens: as in spiffe-helper, a token that is
// refused does not hold cmd back; one that is only late does.
func TestDropInStartsWithoutRefusedTokens(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	faults.Hang(devapi.FetchJWTSVID)
	certs := filepath.Join(t.TempDir(), "certs")
	r := startDaemon(t, api, fmt.Sprintf(`
cert_dir = %q
cmd = "sh"
cmd_args = "-c \"exit 5\""
svid_file_name = "svid.pem"
svid_key_file_name = "key.pem"
svid_bundle_file_name = "bundle.pem"
jwt_svids = [{jwt_audience = "a", jwt_svid_file_name = "a.jwt"}]
`, certs))
	r.log.Await(t, 1, "waiting for the Workload API", "JWT-SVID for a")
	if strings.Contains(r.log.String(), "process started") {
		t.Error("cmd was started before the Workload API had answered")
	}
	faults.Heal()
	faults.Deny(devapi.FetchJWTSVID)
	r.log.Await(t, 1, "process ended", "status=5")
}

// TestTellsOfChangesOnly: what did not change notifies nobody, an outage
// included.
func TestTellsOfChangesOnly(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	record := filepath.Join(dir, "record")
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}", filepath.Join(dir, "certs"))+childProcess(t, record, ""))
	r.log.Await(t, 1, "process started")

	api.Push() // the same once more
	api.Down()
	r.log.Await(t, 1, "not connected")
	if err := api.Up(); err != nil {
		t.Fatal(err)
	}
	if err := faults.WaitAttempts(t.Context(), devapi.FetchX509SVID, 2); err != nil {
		t.Fatal(err)
	}
	api.Rotate()
	r.log.Await(t, 1, "process told of the rotation")
	eventually(t, func() error {
		if got := strings.Count(read(record), "hangup"); got != 1 {
			return notYet("the process was told %d times, of 1 rotation", got)
		}
		return nil
	})
	api.Rotate()
	r.log.Await(t, 2, "process told of the rotation")
	r.log.Await(t, 3, "published")
	if got := strings.Count(r.log.String(), "msg=published"); got != 3 {
		t.Errorf("%d publishes of 3 different answers", got)
	}
}

// TestExitStatus: the process's end is ours.
func TestExitStatus(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {}
}
process {
  command     = ["sh", "-c", "exit 7"]
  on_rotation = "none"
}`, t.TempDir()))
	var exit *supervisor.ExitError
	if err := r.end(); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("Run returned %v", err)
	}
}

// TestRevoked: what becomes of the files of an identity that is refused.
func TestRevoked(t *testing.T) {
	for _, c := range []struct {
		policy  string
		stays   bool
		process string // the end of the record
	}{
		{"keep", true, "started"},
		{"remove", false, "started"},
		{"stop", false, "terminated"},
	} {
		t.Run(c.policy, func(t *testing.T) {
			api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
			dir := t.TempDir()
			certs, record := filepath.Join(dir, "certs"), filepath.Join(dir, "record")
			address := freeAddress(t)
			r := startDaemon(t, api, fmt.Sprintf(`
on_revoked       = %q
revocation_grace = "200ms"
output %q {
  x509_svid {}
}
health {
  address = %q
}
`, c.policy, certs, address)+childProcess(t, record, ""))
			r.log.Await(t, 1, "process started")
			eventually(t, func() error {
				if !strings.Contains(read(record), "started") {
					return notYet("no start in the record")
				}
				return nil
			})
			faults.Deny(devapi.FetchX509SVID)
			if c.policy == "stop" {
				if err := r.end(); err == nil || !strings.Contains(err.Error(), "on_revoked") {
					t.Errorf("Run returned %v", err)
				}
				if old, _ := filepath.Glob(filepath.Join(certs, "..gen-*", "*key*")); len(old) > 0 {
					t.Errorf("the key is left in %q", old)
				}
			} else {
				eventually(t, func() error {
					status, body, err := get("http://" + address + "/ready")
					if err != nil || status != 503 || !strings.Contains(body, "refused") {
						return notYet("ready: %d %s %v", status, body, err)
					}
					return nil
				})
			}
			eventually(t, func() error {
				if stays := strings.HasPrefix(read(certs, "svid_key.pem"), "-----BEGIN"); stays != c.stays {
					return notYet("the key is on disk: %v", stays)
				}
				return nil
			})
			if got := read(record); !strings.Contains(got, c.process) || c.process == "started" && strings.Contains(got, "terminated") {
				t.Errorf("the process recorded %q", got)
			}
			if c.policy != "remove" {
				return
			}
			faults.Heal() // the identity is back, and so are the files
			eventually(t, func() error {
				if !strings.HasPrefix(read(certs, "svid_key.pem"), "-----BEGIN") {
					return notYet("the key is not back")
				}
				return nil
			})
		})
	}
}
