//go:build linux

package examples_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/svidhelper/svidhelper/helper/devapi"
)

// An endpoint is a bundle endpoint as a foreign trust domain knows it.
type endpoint struct {
	profile, url string
	auth         federation.FetchOption
}

// TestFederation runs the example: go-spiffe's federation client fetches the bundle by
// both profiles, sees each change of an authority, and a sequence number that grows with
// it, across restarts too.
func TestFederation(t *testing.T) {
	t.Parallel()
	s := newService(t, "federation")
	nginx := need(t, "nginx")
	web := freeAddress(t)
	roots, cert, key := webPKI(t, s.dir)
	run := func() {
		t.Helper()
		conf := s.adapt("federation/nginx.conf",
			"pid /run/nginx.pid;", "pid "+filepath.Join(s.dir, "nginx.pid")+";",
			"127.0.0.1:8443", s.address, "127.0.0.1:8444", web,
			"/run/federation/tls", s.tls, "/run/federation/bundle", filepath.Join(s.dir, "bundle"),
			"/etc/nginx/web.crt", cert, "/etc/nginx/web.key", key)
		s.start("federation/helper.conf",
			"127.0.0.1:8443", s.address,
			"/run/federation/tls", s.tls, "/run/federation/bundle", filepath.Join(s.dir, "bundle"),
			`["nginx", "-g", "daemon off;"]`, `["`+nginx+`", "-p", "`+s.dir+`", "-c", "`+conf+`", "-g", "daemon off;"]`)
	}
	run()
	endpoints := []endpoint{
		{"https_spiffe", "https://" + s.address + "/bundle.json", federation.WithSPIFFEAuth(s.api.X509Bundles(), s.api.SVIDs()[0].ID)},
		{"https_web", "https://" + web + "/bundle.json", federation.WithWebPKIRoots(roots)},
	}
	last := map[string]uint64{}
	// seen waits until every profile gives what the Workload API does.
	seen := func(what string, grows bool) {
		t.Helper()
		for _, e := range endpoints {
			sequence := s.fetches(e)
			if was := last[e.profile]; was > 0 && grows != (sequence > was) || sequence < was {
				t.Errorf("%s: %s: spiffe_sequence %d after %d", what, e.profile, sequence, was)
			}
			last[e.profile] = sequence
		}
	}
	seen("the first", true)
	for range 3 {
		if err := s.api.AddAuthority(devapi.DefaultID.TrustDomain()); err != nil {
			t.Fatal(err)
		}
		endpoints[0].auth = federation.WithSPIFFEAuth(s.api.X509Bundles(), s.api.SVIDs()[0].ID)
		seen("another authority", true)
	}
	serial := rotate(t, s.api)
	s.events.await(t, s.helper, "proof of the rotation", proven(serial))
	seen("another SVID", false)
	s.stop(0)
	run()
	seen("a restart", false)
	s.stop(0)
	if err := s.api.RetireAuthorities(devapi.DefaultID.TrustDomain()); err != nil {
		t.Fatal(err)
	}
	endpoints[0].auth = federation.WithSPIFFEAuth(s.api.X509Bundles(), s.api.SVIDs()[0].ID)
	run()
	seen("authorities that left meanwhile", true)

	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer insecure.CloseIdleConnections()
	for _, path := range []string{"/bundle.json", "/", "/..data/bundle.json", "/bundle.json/../../tls/tls.key"} {
		answer, err := insecure.Get("https://" + web + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		served, is := path == "/bundle.json", answer.StatusCode == http.StatusOK
		if served != is || served && answer.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, %s", path, answer.Status, answer.Header.Get("Content-Type"))
		}
	}
	s.stop(0)
}

// fetches fetches a bundle until it is the Workload API's, and returns its sequence
// number.
func (s *service) fetches(e endpoint) uint64 {
	s.t.Helper()
	td := devapi.DefaultID.TrustDomain()
	x509Bundle, err := s.api.X509Bundles().GetX509BundleForTrustDomain(td)
	if err != nil {
		s.t.Fatal(err)
	}
	jwtBundle, err := s.api.JWTBundles().GetJWTBundleForTrustDomain(td)
	if err != nil {
		s.t.Fatal(err)
	}
	for ctx := deadline(s.t, 2*patience); ; {
		b, err := fetchBundle(ctx, e)
		if err == nil && b.X509Bundle().Equal(x509Bundle) && b.JWTBundle().Equal(jwtBundle) {
			hint, _ := b.RefreshHint()
			sequence, ok := b.SequenceNumber()
			if hint != 5*time.Minute || !ok {
				s.t.Errorf("%s: spiffe_refresh_hint is %v, spiffe_sequence %d", e.profile, hint, sequence)
			}
			return sequence
		}
		if ctx.Err() != nil {
			s.t.Fatalf("%s does not give the Workload API's bundle: %v", e.profile, err)
		}
	}
}

func fetchBundle(ctx context.Context, e endpoint) (*spiffebundle.Bundle, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	return federation.FetchBundle(ctx, devapi.DefaultID.TrustDomain(), e.url, e.auth)
}

// webPKI makes a certificate as a public authority does, and returns whom to trust.
func webPKI(t *testing.T, dir string) (roots *x509.CertPool, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(cert)
	write := func(name, label string, der []byte) string {
		return adaptText(t, string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})), dir, name)
	}
	return roots, write("web.crt", "CERTIFICATE", der), write("web.key", "PRIVATE KEY", keyDER)
}
