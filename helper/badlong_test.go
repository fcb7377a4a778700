package helper

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/source"
)

// followReady asks for ready until it is false, and checks that it is true for as
// long as what is on disk has not expired, and no longer.
func followReady(t *testing.T, address string, expires time.Time) {
	t.Helper()
	eventually(t, func() error {
		asked := time.Now()
		status, body, err := get("http://" + address + "/ready")
		answered := time.Now()
		switch {
		case err != nil:
			t.Fatal(err)
		case status == http.StatusOK && asked.Before(expires):
			return notYet("still ready at %v", asked)
		case status == http.StatusOK:
			t.Fatalf("ready, %v after the end of what is on disk", asked.Sub(expires))
		case answered.Before(expires):
			t.Fatalf("not ready, %v before the end of what is on disk: %s", expires.Sub(answered), body)
		case !strings.Contains(body, "expired at"):
			t.Fatalf("the reason is not the expiry: %s", body)
		}
		return nil
	})
}

// TestBadAnswersOnly: as long as the first answer is bad, nothing is on disk, the
// process does not run, and ready is false. When bad answers go on until what is
// on disk has expired, ready is false too, and what is there stays.
func TestBadAnswersOnly(t *testing.T) {
	t.Parallel() // it waits, most of the time
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true, TTL: 3 * time.Second})
	dir, address := t.TempDir(), freeAddress(t)
	certs, record := filepath.Join(dir, "certs"), filepath.Join(dir, "record")
	spoil := func() {
		devapi.Mutate(faults, func(r *workload.X509SVIDResponse) { r.Svids[0].X509SvidKey = []byte("garbage") })
	}
	spoil()
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}\nhealth { address = %q }\n", certs, address)+childProcess(t, record, ""))
	r.log.Await(t, 1, "not receiving", "reason=garbage")
	status, body, err := get("http://" + address + "/ready")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, certs) {
		t.Errorf("with no good answer yet, ready: %d %s %v", status, body, err)
	}
	if names, err := filepath.Glob(filepath.Join(certs, "*.pem")); err != nil || len(names) > 0 {
		t.Errorf("on disk: %q %v", names, err)
	}
	if _, err := os.Stat(record); err == nil {
		t.Error("the process was started")
	}

	faults.Heal()
	api.Rotate()
	awaitReadyAgain(t, api, address)
	r.log.Await(t, 1, "process started")
	leaf := leafOnDisk(t, certs, "svid.pem")
	awaitOneGeneration(t, certs)
	before := snapshotDir(t, certs)
	counted := refusals(t, address, source.ProfileX509SVID, source.ReasonGarbage)
	spoil()
	api.Rotate()
	eventually(t, func() error {
		if refusals(t, address, source.ProfileX509SVID, source.ReasonGarbage) == counted {
			return notYet("not refused")
		}
		return nil
	})
	followReady(t, address, leaf.NotAfter)
	if diff := differences(before, snapshotDir(t, certs)); len(diff) > 0 {
		t.Errorf("these differ: %q", diff)
	}

	faults.Heal()
	api.Rotate()
	awaitReadyAgain(t, api, address)
}

var reasonsJWT = map[string]source.Reason{
	"no SVIDs":                     source.ReasonNoSVIDs,
	"empty token":                  source.ReasonGarbage,
	"garbage token":                source.ReasonGarbage,
	"token without its signature":  source.ReasonGarbage,
	"expired token":                source.ReasonExpired,
	"expiry in milliseconds":       source.ReasonTime,
	"critical extension":           source.ReasonInvalidSVID,
	"token of another audience":    source.ReasonAudience,
	"foreign trust domain's token": source.ReasonForeignTrustDomain,
}

// TestBadTokens: each renewal of a token gets another bad answer. The token on
// disk stays, ready is true until it expires, and the next good answer is taken
// up without being asked for.
func TestBadTokens(t *testing.T) {
	t.Parallel() // it waits, most of the time
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true, JWTTTL: 4 * time.Second})
	edits := map[string]devapi.Bad[*workload.JWTSVIDResponse]{} // by audience
	certs, address := filepath.Join(t.TempDir(), "certs"), freeAddress(t)
	var blocks strings.Builder
	names, err := api.BadJWTSVIDs("a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		audience := fmt.Sprint("a", i)
		all, err := api.BadJWTSVIDs(audience)
		if err != nil {
			t.Fatal(err)
		}
		edits[audience] = all[i]
		fmt.Fprintf(&blocks, "jwt_svid {\n audience = [%q]\n file = %q\n}\n", audience, audience)
	}
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n %s}\nhealth { address = %q }\n", certs, &blocks, address))
	awaitReady(t, address, http.StatusOK)
	devapi.Mutate(faults, func(answer *workload.JWTSVIDResponse) {
		audience := parseToken(t, answer.Svids[0].Svid).Audience
		edits[audience[0]].Edit(answer)
	})
	for audience, b := range edits {
		reason := reasonsJWT[b.Name]
		eventually(t, func() error {
			if tokenRefusals(t, address, source.ProfileJWTSVID, audience, reason) == 0 {
				return notYet("%s: not counted as %q:\n%s", b.Name, reason, metrics(t, address))
			}
			return nil
		})
		r.log.Await(t, 1, "not receiving", "audience="+audience, "reason="+string(reason))
	}
	// No good one is on its way any more; what was refused is not there instead.
	awaitOneGeneration(t, certs)
	before, first := snapshotDir(t, certs), time.Time{}
	for audience := range edits {
		token := parseToken(t, read(certs, audience))
		if end := token.Expiry.Time(); first.IsZero() || end.Before(first) {
			first = end
		}
		if !slices.Equal(token.Audience, []string{audience}) {
			t.Errorf("a token for %q is on disk, not for %q", token.Audience, audience)
		}
	}
	followReady(t, address, first)
	if diff := differences(before, snapshotDir(t, certs)); len(diff) > 0 {
		t.Errorf("these differ: %q", diff)
	}
	for _, part := range strings.Split(read(certs, "a0"), ".")[1:] {
		if strings.Contains(r.log.String(), part) {
			t.Error("a token in the log")
		}
	}
	faults.Heal()
	awaitReady(t, address, http.StatusOK)
}

// TestOddAnswers: what looks bad and is not is taken up: of SVIDs with the same
// hint the first, and a bundle that is larger than gRPC's usual limit.
func TestOddAnswers(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true, Identities: []devapi.Identity{
		{ID: spiffeid.RequireFromString("spiffe://example.org/first"), Hint: "same"},
		{ID: spiffeid.RequireFromString("spiffe://example.org/second"), Hint: "same"},
	}})
	certs, address := filepath.Join(t.TempDir(), "certs"), freeAddress(t)
	startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid { hint = "same" }
}
health { address = %q }
`, certs, address))
	awaitReady(t, address, http.StatusOK)
	if uris := leafOnDisk(t, certs, "svid.pem").URIs; uris[0].Path != "/first" {
		t.Errorf("%s is on disk", uris[0])
	}
	const size = 4<<20 + 1
	more := largeAuthorities(t, size)
	devapi.Mutate(faults, func(r *workload.X509SVIDResponse) {
		for _, svid := range r.Svids {
			svid.Bundle = append(svid.Bundle, more...)
		}
	})
	api.Rotate()
	eventually(t, func() error {
		if n := len(read(certs, "svid_bundle.pem")); n < size {
			return notYet("%d bytes of bundle", n)
		}
		return nil
	})
	awaitReady(t, address, http.StatusOK)
}

// largeAuthorities returns authorities of that many bytes, in a few large
// certificates: many small ones take long to make.
func largeAuthorities(t *testing.T, size int) (der []byte) {
	t.Helper()
	key, err := devapi.ECP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for serial := int64(1); len(der) < size; serial++ {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: fmt.Sprint("large ", serial)},
			NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, 256<<10)}},
		}
		one, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		der = append(der, one...)
	}
	return der
}
