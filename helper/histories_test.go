package helper

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// A past is what has become of one identity so far.
type past struct {
	devapi.Identity
	given, bad bool
	serial     string // that should be on disk; empty: none
	heard      bool   // the helper has heard how it is now
	gone       bool   // it was withdrawn, and there has been no good SVID since
}

// TestHistories: identities appear, vanish, turn bad, come back and rotate, and
// the agent goes and comes, at random. After each step each file on disk is what
// its own identity's history says, and no other identity has anything to do with
// it.
func TestHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var all []*past
	var ids []devapi.Identity
	for _, name := range []string{"web", "db", "mail"} {
		p := &past{Identity: devapi.Identity{ID: spiffeid.RequireFromPath(devapi.DefaultID.TrustDomain(), "/"+name), Hint: name}, given: true}
		all, ids = append(all, p), append(ids, p.Identity)
	}
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true, Identities: ids})
	dir := t.TempDir()
	var text strings.Builder
	fmt.Fprintf(&text, "on_revoked = \"remove\"\nrevocation_grace = \"50ms\"\noutput %q {\n", dir)
	for _, p := range all {
		fmt.Fprintf(&text, " x509_svid {\n hint = %[1]q\n cert = \"%[1]s.pem\"\n key = \"%[1]s.key\"\n }\n jwt_svid {\n audience = [\"a\"]\n spiffe_id = %[2]q\n file = \"%[1]s.jwt\"\n }\n", p.Hint, p.ID)
	}
	text.WriteString("}\n")
	startDaemon(t, api, text.String())

	up := true
	// hear brings the histories up to date with what the agent says, if it is there.
	hear := func() {
		good, some := false, false
		for _, p := range all {
			// The last good SVID stands in for a bad one.
			good, some = good || p.given && (!p.bad || p.serial != ""), some || p.given
		}
		// An answer that comes to no SVID at all is refused as a whole.
		heard := up && (good || !some)
		for _, p := range all {
			p.heard = heard
		}
		if !heard {
			return
		}
		for _, svid := range api.SVIDs() {
			for _, p := range all {
				if p.given && !p.bad && p.ID == svid.ID {
					p.serial, p.gone = fmt.Sprintf("%x", svid.Certificates[0].SerialNumber), false
				}
			}
		}
		for _, p := range all {
			if !p.given {
				p.serial, p.gone = "", true
			}
		}
	}
	entitle := func() error {
		var now []devapi.Identity
		for _, i := range random.Perm(len(all)) {
			if all[i].given {
				now = append(now, all[i].Identity)
			}
		}
		return api.SetIdentities(now...)
	}
	spoil := func() {
		// The server's own goroutines see a copy.
		bad := map[string]bool{}
		for _, p := range all {
			bad[p.ID.String()] = p.bad
		}
		devapi.Mutate(faults, func(r *workload.X509SVIDResponse) {
			for _, svid := range r.Svids {
				if bad[svid.SpiffeId] {
					svid.X509SvidKey = []byte("no key")
				}
			}
		})
		api.Push()
	}
	check := func(step string) {
		t.Helper()
		eventually(t, func() error {
			for _, p := range all {
				if err := p.check(dir); err != nil {
					return notYet("%s: %v", step, err)
				}
			}
			return nil
		})
	}
	hear()
	check("at the start")
	for n := range 60 {
		p := all[random.IntN(len(all))]
		var step string
		switch random.IntN(6) {
		case 0, 1:
			step = "all rotate"
			api.Rotate()
		case 2:
			step = fmt.Sprintf("%s: given = %v", p.Hint, !p.given)
			p.given = !p.given
			if err := entitle(); err != nil {
				t.Fatal(err)
			}
		case 3:
			step = fmt.Sprintf("%s: bad = %v", p.Hint, !p.bad)
			p.bad = !p.bad
			spoil()
		case 4:
			step = fmt.Sprintf("the agent is there: %v", !up)
			if up = !up; !up {
				api.Down()
			} else if err := api.Up(); err != nil {
				t.Fatal(err)
			}
		case 5:
			step = "the order changes"
			if err := entitle(); err != nil {
				t.Fatal(err)
			}
		}
		hear()
		check(fmt.Sprintf("step %d, %s", n, step))
	}
}

// check compares the files of an identity with its history. A token goes and comes
// with its identity.
func (p *past) check(dir string) error {
	in := func(suffix string) string { return filepath.Join(dir, p.Hint+suffix) }
	cert, err := os.ReadFile(in(".pem"))
	switch {
	case p.serial == "" && err == nil:
		return fmt.Errorf("%s is there", in(".pem"))
	case p.serial != "" && err != nil:
		return err
	}
	if p.serial != "" {
		if leaf, err := parseLeaf(cert); err != nil || fmt.Sprintf("%x", leaf.SerialNumber) != p.serial {
			return fmt.Errorf("%s: %v %v, want %s", in(".pem"), leaf, err, p.serial)
		}
	}
	if _, err := os.Stat(in(".key")); (err == nil) != (p.serial != "") {
		return fmt.Errorf("%s: %v, want the serial %q", in(".key"), err, p.serial)
	}
	token, err := os.ReadFile(in(".jwt"))
	switch {
	case p.gone && p.heard && err == nil:
		return fmt.Errorf("%s is there", in(".jwt"))
	case p.given && !p.gone && p.heard && err != nil:
		return err
	case err != nil:
		return nil
	}
	var claims struct{ Sub string }
	parts := strings.Split(string(token), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Sub != p.ID.String() {
		return fmt.Errorf("%s is a token of %q", in(".jwt"), claims.Sub)
	}
	return nil
}

func parseLeaf(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("no PEM in %q", text)
	}
	return x509.ParseCertificate(block.Bytes)
}
