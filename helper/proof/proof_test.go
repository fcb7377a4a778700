package proof

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestProveOverEachKindOfAddress(t *testing.T) {
	cert := issue(t, 7)
	socket := filepath.Join(t.TempDir(), "s")
	kinds := []struct{ network, listen, dial, serverName, sni string }{
		{"tcp", "127.0.0.1:0", "127.0.0.1:", "", ""},
		{"tcp", "127.0.0.1:0", "127.0.0.1:", "db.example", "db.example"},
		{"tcp", "127.0.0.1:0", "localhost:", "", "localhost"},
		{"tcp6", "[::1]:0", "[::1]:", "", ""},
		{"unix", socket, "unix://" + socket, "", ""},
		{"unix", socket + "2", "unix:" + socket + "2", "db.example", "db.example"},
	}
	for _, c := range kinds {
		if c.network == "unix" && runtime.GOOS == "windows" {
			if _, err := New(Config{TLS: c.dial}, quiet); err == nil {
				t.Errorf("%s: accepted where services have no sockets", c.dial)
			}
			continue
		}
		s := serve(t, c.network, c.listen, cert, nil)
		if strings.HasSuffix(c.dial, ":") {
			_, port, _ := net.SplitHostPort(s.address())
			c.dial += port
		}
		r, err := prover(t, Config{TLS: c.dial, ServerName: c.serverName}).Prove(t.Context(), wanted(cert))
		if err != nil || !r.Proven || r.Serial != "07" || r.Attempts != 1 || r.Latency <= 0 {
			t.Errorf("%s: %+v, %v", c.dial, r, err)
		}
		s.sawGoodbye(t, c.dial)
		if !slices.Equal(s.names, []string{c.sni}) {
			t.Errorf("%s: server name %q, want %q", c.dial, s.names, c.sni)
		}
	}
}

func TestProveWaitsForTheReload(t *testing.T) {
	before, after := issue(t, 1), issue(t, 2)
	s := serve(t, "tcp", "127.0.0.1:0", before, func(s *service) {
		s.before = func(net.Conn) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.conns == 4 {
				s.cert.Store(after)
			}
			return nil
		}
	})
	want := wanted(after)
	want.Published = time.Now().Add(-time.Minute)
	r, err := prover(t, Config{TLS: s.address()}).Prove(t.Context(), want)
	if err != nil || r.Attempts != 4 || r.Serial != "02" {
		t.Errorf("%+v, %v", r, err)
	}
	if r.Latency < time.Minute {
		t.Errorf("latency %v does not count from the publish", r.Latency)
	}
	s.sawOneAtATime(t)
}

func TestProveWaitsForTheService(t *testing.T) {
	cert := issue(t, 1)
	network, at := "unix", filepath.Join(t.TempDir(), "s")
	dial := "unix://" + at
	if runtime.GOOS == "windows" {
		network, at = "tcp", deserted(t)
		dial = at
	}
	p := prover(t, Config{TLS: dial})
	type outcome struct {
		Result
		error
	}
	done := make(chan outcome)
	go func() {
		r, err := p.Prove(t.Context(), wanted(cert))
		done <- outcome{r, err}
	}()
	serve(t, network, at, cert, nil)
	if o := <-done; o.error != nil || !o.Proven {
		t.Errorf("%+v", o)
	}
}

func TestProveThatFailsSaysWhatIsServed(t *testing.T) {
	t.Parallel()
	s := serve(t, "tcp", "127.0.0.1:0", issue(t, 0xabc), nil)
	began := time.Now()
	const timeout = 2 * time.Second
	r, err := prover(t, Config{TLS: s.address(), Timeout: timeout}).Prove(t.Context(), wanted(issue(t, 0xdef)))
	e := failure(t, err)
	if e.Served != "0ABC" || e.Want != "0DEF" || e.Address != s.address() || e.Err != nil {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(err.Error(), "0ABC") || !strings.Contains(err.Error(), "0DEF") {
		t.Errorf("message %q", err)
	}
	if r.Proven || r.Serial != "0ABC" {
		t.Errorf("%+v", r)
	}
	if took := time.Since(began); took < timeout || took > patience {
		t.Errorf("a timeout of %v took %v", timeout, took)
	}
	t.Logf("%d connections in %v; %v", r.Attempts, timeout, err)
	if r.Attempts > 20 {
		t.Errorf("%d connections", r.Attempts)
	}
	s.sawOneAtATime(t)
}

// However long the timeout is, the number of connections is bounded.
func TestPausesAreBounded(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 10 * time.Second, time.Hour, 24 * time.Hour} {
		pauses := prover(t, Config{TLS: "127.0.0.1:1", Timeout: timeout}).pauses()
		tries := 1
		for spent := time.Duration(0); spent < timeout; tries++ {
			spent += pauses.NextBackOff()
		}
		t.Logf("%v: at most %d connections", timeout, tries)
		if tries > 60 {
			t.Errorf("%v: %d connections", timeout, tries)
		}
	}
}

func TestProveShowsTheClientCertificate(t *testing.T) {
	cert, own := issue(t, 1), issue(t, 42)
	pool := x509.NewCertPool()
	pool.AddCert(own.Leaf)
	want := wanted(cert)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := serve(t, "tcp", "127.0.0.1:0", cert, func(s *service) {
			s.config.MaxVersion = version
			s.config.ClientAuth = tls.RequireAnyClientCert
			s.config.ClientCAs = pool
		})
		p := prover(t, Config{TLS: s.address()})

		want.Certificate = func() (*tls.Certificate, error) { return own, nil }
		if r, err := p.Prove(t.Context(), want); err != nil || !r.Proven {
			t.Errorf("%+v, %v", r, err)
		}
		s.sawGoodbye(t, "with a client certificate")
		if len(s.clients) != 1 || s.clients[0].Int64() != 42 {
			t.Errorf("the service saw client %v", s.clients)
		}

		// turned away, but the certificate has been seen
		want.Certificate = func() (*tls.Certificate, error) { return nil, errors.New("no key") }
		if r, err := p.Prove(t.Context(), want); err != nil || !r.Proven || r.Attempts != 1 {
			t.Errorf("without a client certificate: %+v, %v", r, err)
		}
		s.last(t, 1)
	}
}

// TestALPN: a service that knows other protocols turns us away, and one that knows
// one of ours does not.
func TestALPN(t *testing.T) {
	cert := issue(t, 1)
	s := serve(t, "tcp", "127.0.0.1:0", cert, func(s *service) { s.config.NextProtos = []string{"ntske/1"} })
	for _, c := range []struct {
		alpn []string
		says string
	}{
		{nil, ""}, {[]string{"h2", "ntske/1"}, ""}, {[]string{"h2"}, "no application protocol"},
	} {
		r, err := prover(t, Config{TLS: s.address(), ALPN: c.alpn}).Look(t.Context(), wanted(cert), Result{})
		if r.Proven != (c.says == "") || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%q: %+v, %v", c.alpn, r, err)
		}
	}
}

// One that the service's list of authorities rules out is not shown: it would
// only be refused.
func TestProveKeepsAHopelessClientCertificate(t *testing.T) {
	cert, own := issue(t, 1), issue(t, 42)
	pool := x509.NewCertPool()
	pool.AddCert(func() *x509.Certificate {
		c := issue(t, 3).Leaf
		other := *c
		other.RawSubject = []byte{0x30, 0}
		return &other
	}())
	s := serve(t, "tcp", "127.0.0.1:0", cert, func(s *service) {
		s.config.ClientAuth = tls.VerifyClientCertIfGiven
		s.config.ClientCAs = pool
	})
	want := wanted(cert)
	want.Certificate = func() (*tls.Certificate, error) { return own, nil }
	r, err := prover(t, Config{TLS: s.address()}).Prove(t.Context(), want)
	if err != nil || r.Attempts != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	s.sawGoodbye(t, "without a client certificate")
	if len(s.clients) != 1 || s.clients[0] != nil {
		t.Errorf("the service saw client %v", s.clients)
	}
}

// A service may present any of the identities that were published.
func TestProveOneOfSeveral(t *testing.T) {
	first, second := issue(t, 1), issue(t, 2)
	s := serve(t, "tcp", "127.0.0.1:0", second, nil)
	want := wanted(first)
	want.Leaves = append(want.Leaves, second.Leaf)
	if r, err := prover(t, Config{TLS: s.address()}).Prove(t.Context(), want); err != nil || r.Serial != "02" {
		t.Errorf("%+v, %v", r, err)
	}
}

// A leaf without its private key is what a half reload looks like.
func TestProveIsNotFooledByALeafWithoutItsKey(t *testing.T) {
	t.Parallel()
	cert, other := issue(t, 1), issue(t, 2)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for what, key := range map[string]crypto.Signer{
			"another key": impostor{other.PrivateKey.(crypto.Signer), cert.Leaf.PublicKey},
			"no key":      impostor{keyless{}, cert.Leaf.PublicKey},
		} {
			broken := &tls.Certificate{Certificate: cert.Certificate, PrivateKey: key}
			s := serve(t, "tcp", "127.0.0.1:0", broken, func(s *service) {
				s.config.MaxVersion = version
				s.config.ClientAuth = tls.RequireAnyClientCert
			})
			r, err := prover(t, Config{TLS: s.address(), Timeout: 50 * time.Millisecond}).Prove(t.Context(), wanted(cert))
			if err == nil || r.Proven {
				t.Errorf("%s: proven: %+v", what, r)
			}
		}
	}
}

// deserted returns an address where nobody listens.
func deserted(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	return ln.Addr().String()
}

func TestProveNobodyThere(t *testing.T) {
	refused := syscall.ECONNREFUSED
	if runtime.GOOS == "windows" {
		refused = 10061 // WSAECONNREFUSED
	}
	unhurried(t, 100*time.Millisecond, func(timeout time.Duration) error {
		_, err := prover(t, Config{TLS: deserted(t), Timeout: timeout}).Prove(t.Context(), wanted(issue(t, 1)))
		if e := failure(t, err); !errors.Is(e, refused) || e.Served != "" {
			return e
		}
		return nil
	})
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{TLS: "localhost"},
		{TLS: ":8443"},
		{TLS: "localhost:https"},
		{TLS: "localhost:0"},
		{TLS: "localhost:65536"},
		{TLS: "::1:443"},
		{TLS: "unix://relative"},
		{TLS: "https://localhost:443"},
		{TLS: "localhost:443", StartTLS: "telnet"},
		{TLS: "localhost:443", Timeout: -1},
		{TLS: "localhost:443", ALPN: []string{""}},
		{TLS: "localhost:443", ALPN: []string{strings.Repeat("x", 256)}},
		{TLS: "localhost:443", Workers: -1},
		{TLS: "localhost:443", Workers: MaxWorkers + 1},
		{TLS: "localhost:443", Command: []string{""}},
		{TLS: "localhost", Command: []string{"true"}},
		{TLS: "localhost:443", OnFailure: []Escalation{"kill"}},
	} {
		if _, err := New(cfg, quiet); err == nil {
			t.Errorf("%+v: accepted", cfg)
		}
	}
}
