package proof

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// issueBy returns a certificate with that serial number: an authority's own, or one
// that an authority has issued.
func issueBy(t testing.TB, by *tls.Certificate, serial int64, subject string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: subject},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},

		BasicConstraintsValid: true,
	}
	parent, signer := template, key
	if by == nil {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	} else {
		parent, signer = by.Leaf, by.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func poolOf(authorities ...*tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, a := range authorities {
		pool.AddCert(a.Leaf)
	}
	return pool
}

// wantTrust wants a leaf served, and authorities trusted.
func wantTrust(own *tls.Certificate, authorities ...*tls.Certificate) Want {
	want := wanted(own)
	want.Certificate = func() (*tls.Certificate, error) { return own, nil }
	for _, a := range authorities {
		want.Authorities = append(want.Authorities, a.Leaf)
	}
	return want
}

// TestTrust: what a service says and does about client certificates, and what
// that proves.
func TestTrust(t *testing.T) {
	t.Parallel()
	a, b, twin := issueBy(t, nil, 0xa, "a"), issueBy(t, nil, 0xb, "b"), issueBy(t, nil, 0xaa, "a")
	own := issueBy(t, a, 1, "own")
	verify := func(pool *x509.CertPool) func([][]byte, [][]*x509.Certificate) error {
		return func(raw [][]byte, _ [][]*x509.Certificate) error {
			leaf, err := x509.ParseCertificate(raw[0])
			if err == nil {
				_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			}
			return err
		}
	}
	for name, c := range map[string]struct {
		serves func(*tls.Config)
		want   []*tls.Certificate
		says   string   // of the error; empty: it is proven
		unseen []string // then
	}{
		"names all":  {func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, poolOf(a, b) }, []*tls.Certificate{a, b}, "", nil},
		"names more": {func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, poolOf(a, b) }, []*tls.Certificate{a}, "", nil},
		"names one of two": {func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, poolOf(a) }, []*tls.Certificate{a, b},
			"does not name the X.509 authority 0B", nil},
		"names none of ours": {func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, poolOf(b) }, []*tls.Certificate{a},
			"does not name the X.509 authority 0A", nil},
		"names a twin of ours": {func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, poolOf(twin) }, []*tls.Certificate{a},
			"refuses our client certificate", nil},
		"names twins": {func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, poolOf(a) }, []*tls.Certificate{a, twin}, "", []string{"AA"}},
		"names nothing and takes ours": {func(c *tls.Config) {
			c.ClientAuth, c.VerifyPeerCertificate = tls.RequireAnyClientCert, verify(poolOf(a))
		},
			[]*tls.Certificate{a, b}, "", []string{"0B"}},
		"names nothing and refuses ours": {func(c *tls.Config) {
			c.ClientAuth, c.VerifyPeerCertificate = tls.RequireAnyClientCert, verify(poolOf(b))
		},
			[]*tls.Certificate{a, b}, "refuses our client certificate", nil},
		"asks for nothing": {func(*tls.Config) {}, []*tls.Certificate{a}, "asks for no client certificate", nil},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			s := serve(t, "tcp", "127.0.0.1:0", own, func(s *service) { s.config.MaxVersion = version; c.serves(&s.config) })
			var r Result
			unhurried(t, 100*time.Millisecond, func(timeout time.Duration) (err error) {
				r, err = prover(t, Config{TLS: s.address(), ClientCA: true, Timeout: timeout}).Prove(t.Context(), wantTrust(own, c.want...))
				var failed *Error
				switch {
				case c.says == "":
					return err
				case !errors.As(err, &failed) || r.Proven || !failed.Right || failed.Served != "01" || !strings.Contains(err.Error(), c.says):
					return errors.Join(errors.New(name+": not the error"), err)
				}
				return nil
			})
			if c.says == "" && !slices.Equal(r.Unseen, c.unseen) {
				t.Errorf("%s, %x: %v are not seen, want %v", name, version, r.Unseen, c.unseen)
			}
			if r.Serial != "01" {
				t.Errorf("%s, %x: %+v", name, version, r)
			}
			// without client_ca, the leaf is all
			if _, err := prover(t, Config{TLS: s.address()}).Prove(t.Context(), wantTrust(own, c.want...)); err != nil {
				t.Errorf("%s, %x: the leaf alone: %v", name, version, err)
			}
		}
	}
}

// TestTrustOfABundleAlone: the bundle has changed, and the leaf has not. That is
// proven when the service has taken up the bundle, and not before.
func TestTrustOfABundleAlone(t *testing.T) {
	t.Parallel()
	a, b := issueBy(t, nil, 0xa, "a"), issueBy(t, nil, 0xb, "b")
	own := issueBy(t, a, 1, "own")
	reloads := 3
	s := serve(t, "tcp", "127.0.0.1:0", own, func(s *service) {
		s.config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c := &tls.Config{Certificates: []tls.Certificate{*own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: poolOf(a)}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.conns > reloads {
				c.ClientCAs = poolOf(a, b)
			}
			return c, nil
		}
	})
	p := prover(t, Config{TLS: s.address(), ClientCA: true, Timeout: patience})
	if r, err := p.Prove(t.Context(), wantTrust(own, a)); err != nil || r.Attempts != 1 {
		t.Errorf("before: %+v, %v", r, err)
	}
	if r, err := p.Prove(t.Context(), wantTrust(own, a, b)); err != nil || r.Attempts != reloads || len(r.Unseen) > 0 {
		t.Errorf("after: %+v, %v", r, err)
	}
}

// TestTrustOfASilentService: one that neither takes nor refuses what we show proves
// nothing, and holds us no longer than the end of any connection.
func TestTrustOfASilentService(t *testing.T) {
	t.Parallel()
	a := issueBy(t, nil, 0xa, "a")
	own := issueBy(t, a, 1, "own")
	ended := make(chan struct{})
	s := serve(t, "tcp", "127.0.0.1:0", own, func(s *service) {
		s.config.SessionTicketsDisabled = true // they would say that it is content
		s.config.MinVersion, s.config.ClientAuth, s.config.ClientCAs = tls.VersionTLS13, tls.RequireAndVerifyClientCert, poolOf(a)
		s.after = func(net.Conn) error { <-ended; return nil }
	})
	defer close(ended)
	_, err := prover(t, Config{TLS: s.address(), ClientCA: true}).Look(t.Context(), wantTrust(own, a), Result{})
	if e := failure(t, err); !e.Right || !strings.Contains(err.Error(), "does not say whether it takes our client certificate") {
		t.Error(err)
	}
}
