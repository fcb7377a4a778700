package publish

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// federation returns the bundles of that many foreign trust domains.
func federation(t *testing.T, n int) (bundles []*x509bundle.Bundle) {
	t.Helper()
	key, err := devapi.ECP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		td := spiffeid.RequireTrustDomainFromString(fmt.Sprintf("td-%04d.test", i))
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: td.Name()},
			NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := x509bundle.ParseRaw(td, der)
		if err != nil {
			t.Fatal(err)
		}
		bundles = append(bundles, bundle)
	}
	return bundles
}

// TestFederationCost: a thousand federated bundles of which none changed make a
// publish little dearer than none do.
func TestFederationCost(t *testing.T) {
	t.Parallel() // it waits, most of the time
	api, _ := devapitest.New(t, devapi.Config{ManualRotation: true})
	foreign := federation(t, 1000)
	own, err := api.X509Bundles().GetX509BundleForTrustDomain(devapi.DefaultID.TrustDomain())
	if err != nil {
		t.Fatal(err)
	}
	type subject struct {
		how       string
		federated []*x509bundle.Bundle
		output    *output
		first     time.Duration // when everything was new
		took      []time.Duration
	}
	all := []*subject{{how: "none"}, {how: "merge", federated: foreign}, {how: "separate", federated: foreign}}
	for _, s := range all {
		c, diagnostics := config.Parse("helper.conf", fmt.Appendf(nil,
			"output %q {\n x509_svid { federated_bundles = %q }\n}", filepath.Join(t.TempDir(), "certs"), s.how))
		if err := diagnostics.Err(); err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		s.output = newOutput(c.Outputs[0], events.New("", log), log)
		if err := s.output.open(); err != nil {
			t.Fatal(err)
		}
		defer s.output.dir.Close()
	}
	const rounds = 7
	for round := range 1 + rounds {
		svid := snapshot.X509SVID{SVID: api.Rotate()[0], Bundle: own}
		for _, s := range all {
			start := time.Now()
			var change Change
			s.output.publish(&snapshot.Snapshot{X509: &snapshot.X509{SVIDs: []snapshot.X509SVID{svid}, Federated: s.federated}}, false, &change)
			took := time.Since(start)
			switch {
			case s.output.err != nil:
				t.Fatal(s.output.err)
			case round == 0:
				s.first = took
			case len(change.Outputs) != 1 || len(change.Outputs[0].Files) != 2:
				t.Errorf("%s: %d files changed, not certificate and key", s.how, len(change.Outputs[0].Files))
			default:
				s.took = append(s.took, took)
			}
		}
		<-time.After(1200 * time.Millisecond) // a second later, what has been replaced is used again
	}
	for _, s := range all {
		// The least, as whatever else goes on can only add to it.
		least := slices.Min(s.took)
		ratio := float64(least) / float64(slices.Min(all[0].took))
		t.Logf("%s: %v, the least of %d; ratio %.2f; %v when everything was new", s.how, least, rounds, ratio, s.first)
		if len(s.federated) > 0 && least > s.first/3 {
			t.Errorf("%s: a publish of what did not change takes %v, one of everything %v", s.how, s.took, s.first)
		}
	}
}
