package helper

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/protobuf/proto"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/source"
)

// A badAnswer makes the Workload API give one, and says what comes of it.
type badAnswer struct {
	profile source.Profile
	name    string
	reason  source.Reason
	give    func(*devapi.Faults)
}

// bad makes a badAnswer of an edit.
func bad[T proto.Message](p source.Profile, b devapi.Bad[T], reasons map[string]source.Reason) badAnswer {
	return badAnswer{p, b.Name, reasons[b.Name], func(f *devapi.Faults) { devapi.Mutate(f, b.Edit) }}
}

// reasonsX509 is why each bad answer of FetchX509SVID is refused.
var reasonsX509 = map[string]source.Reason{
	"no SVIDs":                          source.ReasonNoSVIDs,
	"no certificate":                    source.ReasonGarbage,
	"garbage certificate":               source.ReasonGarbage,
	"truncated certificate":             source.ReasonGarbage,
	"garbage after the chain":           source.ReasonGarbage,
	"no key":                            source.ReasonGarbage,
	"garbage key":                       source.ReasonGarbage,
	"no bundle":                         source.ReasonNoBundle,
	"garbage bundle":                    source.ReasonGarbage,
	"no SPIFFE ID":                      source.ReasonGarbage,
	"another SPIFFE ID than the leaf's": source.ReasonIDMismatch,
	"another leaf's key":                source.ReasonKeyMismatch,
	"expired leaf":                      source.ReasonExpired,
	"leaf not valid yet":                source.ReasonNotYetValid,
	"leaf outside the bundle":           source.ReasonChain,
	"expired authority":                 source.ReasonChain,
	"foreign trust domain's SVID":       source.ReasonChain,
	"leaf that is an authority":         source.ReasonInvalidSVID,
	"leaf that may sign certificates":   source.ReasonInvalidSVID,
	"leaf without a SPIFFE ID":          source.ReasonInvalidSVID,
	"leaf with two SPIFFE IDs":          source.ReasonInvalidSVID,
	"leaf for code signing":             source.ReasonInvalidSVID,
	"leaf until the year 10000":         source.ReasonTime,
	"hint too long":                     source.ReasonHint,

	"hint of 1,025 bytes":                    source.ReasonHint,
	"announced for a foreign trust domain":   source.ReasonForeignTrustDomain,
	"garbage among the federated bundles":    source.ReasonGarbage,
	"garbage revocation list":                source.ReasonGarbage,
	"a second SVID that is bad, behind good": source.ReasonGarbage,
}

// moreBadX509 are bad in ways that are no SVID's own.
func moreBadX509() []devapi.Bad[*workload.X509SVIDResponse] {
	type answer = *workload.X509SVIDResponse
	return []devapi.Bad[answer]{
		{Name: "hint of 1,025 bytes", Edit: func(r answer) { r.Svids[0].Hint = strings.Repeat("h", 1025) }},
		{Name: "announced for a foreign trust domain", Edit: func(r answer) { r.Svids[0].SpiffeId = "spiffe://foreign.invalid/x" }},
		{Name: "garbage among the federated bundles", Edit: func(r answer) {
			r.FederatedBundles = map[string][]byte{"spiffe://foreign.invalid": []byte("garbage")}
		}},
		{Name: "garbage revocation list", Edit: func(r answer) { r.Crl = [][]byte{[]byte("garbage")} }},
		{Name: "a second SVID that is bad, behind good", Edit: func(r answer) {
			second := proto.CloneOf(r.Svids[0])
			second.X509Svid = []byte("garbage")
			r.Svids = append(r.Svids, second)
		}},
	}
}

var reasonsWIT = map[string]source.Reason{
	"no SVIDs":                        source.ReasonNoSVIDs,
	"empty token":                     source.ReasonGarbage,
	"garbage token":                   source.ReasonGarbage,
	"JWT-SVID in place of a WIT-SVID": source.ReasonInvalidSVID,
	"no key":                          source.ReasonGarbage,
	"garbage key":                     source.ReasonGarbage,
	"another token's key":             source.ReasonKeyMismatch,
	"expired token":                   source.ReasonExpired,
}

// badBundles are bad answers of the streams of bundles.
func badBundles() []badAnswer {
	const td = "spiffe://example.org"
	reasons := map[string]source.Reason{"none": source.ReasonNoBundle, "empty": source.ReasonNoBundle, "garbage": source.ReasonGarbage}
	x509 := func(name string, bundles map[string][]byte) badAnswer {
		edit := func(r *workload.X509BundlesResponse) { r.Bundles = bundles }
		return bad(source.ProfileX509Bundle, devapi.Bad[*workload.X509BundlesResponse]{Name: name, Edit: edit}, reasons)
	}
	jwt := func(name string, bundles map[string][]byte) badAnswer {
		edit := func(r *workload.JWTBundlesResponse) { r.Bundles = bundles }
		return bad(source.ProfileJWTBundle, devapi.Bad[*workload.JWTBundlesResponse]{Name: name, Edit: edit}, reasons)
	}
	wit := func(name string, bundles map[string]string) badAnswer {
		edit := func(r *workload.WITBundlesResponse) { r.Bundles = bundles }
		return bad(source.ProfileWITBundle, devapi.Bad[*workload.WITBundlesResponse]{Name: name, Edit: edit}, reasons)
	}
	return []badAnswer{
		x509("none", nil), x509("empty", map[string][]byte{td: nil}), x509("garbage", map[string][]byte{td: []byte("garbage")}),
		jwt("none", nil), jwt("garbage", map[string][]byte{td: []byte("garbage")}),
		wit("none", nil), wit("garbage", map[string]string{td: "garbage"}),
	}
}

func allBadAnswers(t *testing.T, api *devapi.Server) []badAnswer {
	t.Helper()
	all := badBundles()
	x509, err := api.BadX509SVIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range append(x509, moreBadX509()...) {
		all = append(all, bad(source.ProfileX509SVID, b, reasonsX509))
	}
	wit, err := api.BadWITSVIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range wit {
		all = append(all, bad(source.ProfileWITSVID, b, reasonsWIT))
	}
	return all
}

// TestBadAnswers: whatever bad answer comes, everything on disk stays as it is,
// nobody is told, and ready stays true: what is on disk is good. The log gives
// the reason, and a counter counts it. The next good answer is taken up.
func TestBadAnswers(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true, CRL: true})
	dir, address := t.TempDir(), freeAddress(t)
	certs, record := filepath.Join(dir, "certs"), filepath.Join(dir, "record")
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {
    cert   = "svid.pem"
    key    = "svid_key.pem"
    bundle = "svid_bundle.pem"
    crl    = "crl.pem"
  }
  wit_svid {
    token = "wit.jwt"
    key   = "wit.jwk"
  }
  x509_bundle { file = "bundle.pem" }
  jwt_bundle  { file = "jwt.json" }
  wit_bundle  { file = "wit.json" }
}
health { address = %q }
`, certs, address)+childProcess(t, record, `on = ["x509", "bundle", "jwt", "wit"]`))
	awaitReady(t, address, http.StatusOK)
	awaitStarted(t, record)
	awaitOneGeneration(t, certs)
	before, told := snapshotDir(t, certs), read(record)

	for _, b := range allBadAnswers(t, api) {
		what := fmt.Sprintf("%s: %s", b.profile, b.name)
		counted := refusals(t, address, b.profile, b.reason)
		faults.Heal()
		b.give(faults)
		api.Push()
		eventually(t, func() error {
			if refusals(t, address, b.profile, b.reason) == counted {
				return notYet("%s: not counted as %q:\n%s", what, b.reason, metrics(t, address))
			}
			return nil
		})
		r.log.Await(t, 1, "not receiving", "profile="+string(b.profile), "reason="+string(b.reason))
		if diff := differences(before, snapshotDir(t, certs)); len(diff) > 0 {
			t.Fatalf("%s: these differ: %q", what, diff)
		}
		if status, body, err := get("http://" + address + "/ready"); status != http.StatusOK {
			t.Errorf("%s: ready: %d %s %v", what, status, body, err)
		}
	}
	if got := read(record); got != told {
		t.Errorf("the process was told of what is not on disk: %q", got)
	}
	if n := metric(t, address, "svidhelper_process_rotations_total"); n != 1 {
		t.Errorf("%v rotations concern the process, want that of its start", n)
	}
	if strings.Contains(r.log.String(), "PRIVATE") {
		t.Error("a key in the log")
	}

	faults.Heal()
	leaf := api.Rotate()[0].Certificates[0]
	eventually(t, func() error {
		if got := leafOnDisk(t, certs, "svid.pem"); got.SerialNumber.Cmp(leaf.SerialNumber) != 0 {
			return notYet("%x is on disk, not %x", got.SerialNumber, leaf.SerialNumber)
		}
		if !strings.Contains(read(record), "hangup") {
			return notYet("the process was not told")
		}
		return nil
	})
	awaitReady(t, address, http.StatusOK)
}

// TestABadFederatedBundleHoldsUpNothing: another trust domain's bundle that is
// bad is no reason to let the SVID expire. The last good one stays on disk; one
// without a byte is a withdrawn one.
func TestABadFederatedBundleHoldsUpNothing(t *testing.T) {
	t.Parallel()
	friend := spiffeid.RequireTrustDomainFromString("friend.test")
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true, Federated: []spiffeid.TrustDomain{friend}})
	certs, address := filepath.Join(t.TempDir(), "certs"), freeAddress(t)
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {
    cert              = "svid.pem"
    key               = "svid_key.pem"
    bundle            = "svid_bundle.pem"
    federated_bundles = "separate"
    federated_file    = "{trust_domain}.pem"
  }
}
health { address = %q }
`, certs, address))
	awaitReady(t, address, http.StatusOK)
	theirs := read(certs, "friend.test.pem")
	give := func(bundle []byte) {
		devapi.Mutate(faults, func(r *workload.X509SVIDResponse) {
			r.FederatedBundles = map[string][]byte{friend.IDString(): bundle}
		})
		serial := api.Rotate()[0].Certificates[0].SerialNumber
		eventually(t, func() error {
			if got := leafOnDisk(t, certs, "svid.pem").SerialNumber; got.Cmp(serial) != 0 {
				return notYet("%x is on disk, not %x", got, serial)
			}
			return nil
		})
	}

	for range 2 {
		give([]byte("garbage"))
		if got := read(certs, "friend.test.pem"); got != theirs {
			t.Errorf("the last good bundle is gone: %q", got)
		}
	}
	if n := refusals(t, address, source.ProfileX509SVID, source.ReasonGarbage); n != 2 {
		t.Errorf("%v refusals are counted, want 2", n)
	}
	if n := strings.Count(r.log.String(), "a part of the answer was refused"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	awaitReady(t, address, http.StatusOK)
	give(nil)
	if got := read(certs, "friend.test.pem"); !strings.Contains(got, "no such file") {
		t.Errorf("a bundle that was withdrawn is still there: %q", got)
	}
}

// metrics returns what a scraper is told.
func metrics(t *testing.T, address string) string {
	t.Helper()
	status, body, err := get("http://" + address + "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("metrics: %d %s %v", status, body, err)
	}
	return body
}

// metric returns the value of a metric, with its labels; 0 if there is none.
func metric(t *testing.T, address, name string) float64 {
	t.Helper()
	for line := range strings.Lines(metrics(t, address)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// refusals is how often an answer was refused for a reason.
func refusals(t *testing.T, address string, p source.Profile, reason source.Reason) float64 {
	t.Helper()
	return tokenRefusals(t, address, p, "", reason)
}

// tokenRefusals is how often a token for an audience was refused for a reason.
func tokenRefusals(t *testing.T, address string, p source.Profile, audience string, reason source.Reason) float64 {
	t.Helper()
	return metric(t, address, fmt.Sprintf("svidhelper_stream_failures_total{profile=%q,audience=%q,spiffe_id=\"\",hint=\"\",reason=%q}", p, audience, reason))
}
