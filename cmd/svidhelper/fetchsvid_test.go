package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// fetchSVID runs fetch with arguments, which must succeed, and returns what is
// printed. Nothing but that may be said.
func fetchSVID(t *testing.T, args ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := dispatch(append([]string{"svidhelper", "fetch"}, args...), &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit status %d: %s", code, &stderr)
	}
	return stdout.Bytes()
}

// TestFetchedSVIDs: the right identity is printed, its key belongs to its
// certificate, that verifies against its bundle, and docs/operation.md names every
// field and every form.
func TestFetchedSVIDs(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{
		ManualRotation: true, Intermediate: true,
		Identities: []devapi.Identity{{ID: devapi.DefaultID}, {ID: spiffeid.RequireFromString("spiffe://example.org/web"), Hint: "internal"}},
		Federated:  []spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("other.org")},
	})
	documents := section(t, "On standard output")
	documented := func(what string) {
		t.Helper()
		if !strings.Contains(documents, "`"+what+"`") {
			t.Errorf("docs/operation.md does not name %s", what)
		}
	}
	for _, form := range formNames() {
		documented(form)
	}
	for _, args := range [][]string{{"jwt", "-audience", "a", "-o", "json"}, {"x509"}} {
		var fields map[string]any
		if err := json.Unmarshal(fetchSVID(t, append(args, "-hint", "internal", "-agent-address", api.Addr())...), &fields); err != nil {
			t.Fatal(err)
		}
		for field := range fields {
			documented(field)
		}
		if fields["spiffe_id"] != "spiffe://example.org/web" || fields["hint"] != "internal" {
			t.Errorf("%s: the identity is %v with hint %v", args[0], fields["spiffe_id"], fields["hint"])
		}
	}

	var svid struct {
		Cert, Key, Bundle string
		Federated         map[string]string `json:"federated_bundles"`
	}
	if err := json.Unmarshal(fetchSVID(t, "x509", "-agent-address", api.Addr()), &svid); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(svid.Cert), []byte(svid.Key))
	if err != nil {
		t.Fatal(err)
	}
	own, foreign, above := x509.NewCertPool(), x509.NewCertPool(), x509.NewCertPool()
	own.AppendCertsFromPEM([]byte(svid.Bundle))
	above.AppendCertsFromPEM([]byte(svid.Cert))
	if !foreign.AppendCertsFromPEM([]byte(svid.Federated["other.org"])) {
		t.Error("there is no bundle of other.org")
	}
	options := x509.VerifyOptions{Roots: own, Intermediates: above, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if _, err := pair.Leaf.Verify(options); err != nil {
		t.Error(err)
	}
	options.Roots = foreign
	if _, err := pair.Leaf.Verify(options); err == nil {
		t.Error("it verifies against the bundle of another trust domain")
	}
}
