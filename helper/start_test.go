package helper

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc/codes"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestDropInNeverStartsBeforeTheSVID: an SVID that arrived while the JWT bundle
// was being published counted as being on disk.
func TestDropInNeverStartsBeforeTheSVID(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	for i := range 24 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			certs := filepath.Join(t.TempDir(), "certs")
			r := startDaemon(t, api, fmt.Sprintf(`
cert_dir = %[1]q
cmd = "sh"
cmd_args = "-c \"test -s %[1]s/svid.pem && exit 5\""
svid_file_name = "svid.pem"
svid_key_file_name = "key.pem"
svid_bundle_file_name = "bundle.pem"
jwt_bundle_file_name = "jwks.json"
`, certs))
			r.log.Await(t, 1, "process ended", "status=5")
		})
	}
}

// TestRefusedTokensExcuseNothingElse: a process that can start without its
// tokens waits for what else is missing.
func TestRefusedTokensExcuseNothingElse(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	faults.Deny(devapi.FetchJWTSVID)
	certs := filepath.Join(t.TempDir(), "certs")
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {}
  x509_bundle {
    file          = "partner.pem"
    trust_domains = ["partner.example"]
  }
  jwt_svid {
    audience = ["a"]
    file     = "a.jwt"
  }
}
process {
  command       = ["sh", "-c", "test -s %[1]s/partner.pem && exit 5"]
  start_without = ["jwt"]
  on_rotation   = "none"
}
`, certs))
	r.log.Await(t, 1, "not receiving", "jwt_svid")
	r.log.Await(t, 1, "published", "x509")
	api.Rotate()
	r.log.Await(t, 2, "published", "x509")
	devapi.Mutate(faults, func(a *workload.X509BundlesResponse) {
		a.Bundles["spiffe://partner.example"] = a.Bundles["spiffe://example.org"]
	})
	api.Push()
	r.log.Await(t, 1, "process ended", "status=5")
}

// TestStartsWithoutWhatTheAgentDoesNotHave: an agent that knows no JWT-SVIDs, or
// calls the request for one invalid, ended a helper whose process can start
// without them.
func TestStartsWithoutWhatTheAgentDoesNotHave(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unimplemented, codes.InvalidArgument, codes.Unavailable} {
		for name, text := range map[string]string{
			"native": `
output %[1]q {
  x509_svid {}
  jwt_svid {
    audience = ["a"]
    file     = "a.jwt"
  }
  jwt_bundle { file = "jwks.json" }
}
process {
  command       = ["sh", "-c", "test -s %[1]s/svid.pem && exit 5"]
  start_without = ["jwt"]
  on_rotation   = "none"
}
`,
			"drop-in": `
cert_dir = %[1]q
cmd = "sh"
cmd_args = "-c \"test -s %[1]s/svid.pem && exit 5\""
svid_file_name = "svid.pem"
svid_key_file_name = "key.pem"
svid_bundle_file_name = "bundle.pem"
jwt_bundle_file_name = "jwks.json"
jwt_svids = [{jwt_audience = "a", jwt_svid_file_name = "a.jwt"}]
`,
		} {
			t.Run(fmt.Sprint(code, " ", name), func(t *testing.T) {
				t.Parallel()
				api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
				faults.Fail(code, devapi.FetchJWTSVID, devapi.FetchJWTBundles)
				r := startDaemon(t, api, fmt.Sprintf(text, filepath.Join(t.TempDir(), "certs")))
				r.log.Await(t, 1, "process ended", "status=5")
			})
		}
	}
}
