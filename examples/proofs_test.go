//go:build linux

package examples_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// asksAsAClient is what nginx tells in HTTP alone: whether it takes the client
// certificate. The last line says what is wrong.
const asksAsAClient = `printf "GET / HTTP/1.0\r\n\r\n" |
	openssl s_client -quiet -cert tls.crt -key tls.key -connect "$1" 2>/dev/null | grep -m1 ^HTTP/ > "$2"
cat "$2"
grep -q " 200 " "$2" && echo "$SVIDHELPER_SERIAL $SVIDHELPER_KINDS" >> "$3"`

// TestProofsOfNginx: a change of the bundle alone is told to nginx, and proven by the
// authorities that it names, over so many connections that both workers have been met
// in all likelihood, and by a client of its own.
func TestProofsOfNginx(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	nginx := need(t, "nginx")
	s := newService(t, "nginx")
	told, answer := filepath.Join(s.dir, "told"), filepath.Join(s.dir, "answer")
	s.startNginx(nginx, "  # an X.509-SVID, its", "  bundle_first = true\n  bundle_lead = \"0s\"\n  # an X.509-SVID, its", "  proof {\n", fmt.Sprintf(`  proof {
    client_ca = true
    workers   = 2
    command   = ["sh", "-c", %q, "sh", %q, %q, %q]
`, "cd "+s.tls+"\n"+asksAsAClient, s.address, answer, told))

	was := s.api.SVIDs()[0].Certificates[0].SerialNumber
	proofs := func() (n int) {
		s.events.has(func(e event) bool {
			if proven(was)(e) {
				n++
			}
			return false
		})
		return n
	}
	newAuthority := func() {
		if err := s.api.AddAuthority(devapi.DefaultID.TrustDomain()); err != nil {
			t.Fatal(err)
		}
	}
	before := proofs()
	newAuthority()
	began := time.Now()
	s.events.await(t, s.helper, "proof of the bundle", func(event) bool { return proofs() > before })
	t.Logf("the bundle alone is proven after %v", time.Since(began))

	// both at once: the bundle is proven beside the old leaf, then the leaf
	before = proofs()
	newAuthority()
	serial := rotate(t, s.api)
	s.events.await(t, s.helper, "proof of the new authority's leaf", proven(serial))
	if proofs() == before {
		t.Error("the leaf did not wait for the proof of the bundle")
	}
	if strings.Contains(s.helper.out.String(), "unseen_authorities") {
		t.Error("nginx names its authorities, and one was not seen")
	}
	runs, err := os.ReadFile(told)
	if err != nil || !strings.Contains(string(runs), " bundle\n") || !strings.Contains(string(runs), snapshot.Serial(serial)+" ") {
		t.Errorf("the command was told %q, %v", runs, err)
	}
	if status, body := s.get("/ready"); status != http.StatusOK {
		t.Errorf("/ready: %d %s", status, body)
	}
	s.stop(0)
}
