package proof

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// issue returns a self-signed certificate with that serial number.
func issue(t testing.TB, serial int64) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "proof test"},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// patience is how long a test waits for what has to happen on a busy machine.
const patience = 30 * time.Second

// unhurried has a test of what happens within a timeout try it with ever longer
// ones: a busy machine may take longer than an idle one for a single connection.
func unhurried(t *testing.T, timeout time.Duration, try func(timeout time.Duration) error) {
	t.Helper()
	for ; ; timeout *= 2 {
		err := try(timeout)
		if err == nil {
			return
		}
		if timeout > patience/2 {
			t.Error(err)
			return
		}
		t.Logf("with a timeout of %v: %v", timeout, err)
	}
}

func wanted(c *tls.Certificate) Want {
	return Want{Leaves: []*x509.Certificate{c.Leaf}}
}

// A service presents the certificate that it was last given, and records what
// it sees of its clients.
type service struct {
	cert atomic.Pointer[tls.Certificate]
	// before is called with each connection before TLS begins.
	before func(net.Conn) error
	// after is called when the handshake is done; its error is how the
	// connection ended.
	after  func(net.Conn) error
	config tls.Config
	ln     net.Listener

	mu      sync.Mutex
	open    int
	most    int           // connections at a time
	slowest time.Duration // from its beginning to its end
	conns   int
	names   []string   // SNI
	clients []*big.Int // serials of client certificates, nil for none
	ends    []error    // how each connection ended: io.EOF is a goodbye
	ended   chan struct{}
}

func serve(t *testing.T, network, address string, cert *tls.Certificate, change func(*service)) *service {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, cert, change)
}

func serveOn(t *testing.T, ln net.Listener, cert *tls.Certificate, change func(*service)) *service {
	s := &service{ln: ln, ended: make(chan struct{}, 1000)}
	s.cert.Store(cert)
	if change != nil {
		change(s)
	}
	if s.config.GetCertificate == nil {
		s.config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.names = append(s.names, hello.ServerName)
			return s.cert.Load(), nil
		}
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			group.Go(func() { s.client(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); group.Wait() })
	return s
}

func (s *service) client(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	began := time.Now()
	s.mu.Lock()
	s.conns++
	s.open++
	s.most = max(s.most, s.open)
	s.mu.Unlock()

	err := s.talk(conn)
	s.mu.Lock()
	s.open--
	s.slowest = max(s.slowest, time.Since(began))
	s.ends = append(s.ends, err)
	s.mu.Unlock()
	s.ended <- struct{}{}
}

func (s *service) talk(conn net.Conn) error {
	if s.before != nil {
		if err := s.before(conn); err != nil {
			return err
		}
	}
	secure := tls.Server(conn, &s.config)
	if err := secure.Handshake(); err != nil {
		return err
	}
	var serial *big.Int
	if peers := secure.ConnectionState().PeerCertificates; len(peers) > 0 {
		serial = peers[0].SerialNumber
	}
	s.mu.Lock()
	s.clients = append(s.clients, serial)
	s.mu.Unlock()
	if s.after != nil {
		return s.after(secure)
	}
	_, err := secure.Read(make([]byte, 1))
	return err
}

// last waits until n connections have ended and returns how the last one did.
func (s *service) last(t *testing.T, n int) error {
	t.Helper()
	for range n {
		select {
		case <-s.ended:
		case <-time.After(patience):
			t.Fatal("a connection does not end")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[len(s.ends)-1]
}

// saw checks something that it saw, which it may have seen otherwise if it was
// so late that the client had left.
func (s *service) saw(t *testing.T, right bool, format string, args ...any) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case right:
	case s.slowest < goodbyeTime:
		t.Errorf(format, args...)
	default:
		t.Logf(format, args...)
		t.Logf("the service was late: a connection lasted %v", s.slowest)
	}
}

// sawGoodbye waits for the end of a connection, which is to be a goodbye.
func (s *service) sawGoodbye(t *testing.T, what string) {
	t.Helper()
	end := s.last(t, 1)
	s.saw(t, isGoodbye(end), "%s: the service saw %v, want a goodbye", what, end)
}

// sawOneAtATime checks that there were never two connections at a time.
func (s *service) sawOneAtATime(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	most := s.most
	s.mu.Unlock()
	s.saw(t, most == 1, "%d connections at a time", most)
}

func (s *service) address() string { return s.ln.Addr().String() }

// seen counts its connections.
func (s *service) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func prover(t *testing.T, cfg Config) *Prover {
	t.Helper()
	p, err := New(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// failure returns err as an *Error.
func failure(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T %v, want *Error", err, err)
	}
	return e
}

// impostor claims one key and signs with another.
type impostor struct {
	crypto.Signer
	claim crypto.PublicKey
}

func (i impostor) Public() crypto.PublicKey { return i.claim }

// keyless cannot sign.
type keyless struct{ crypto.Signer }

func (keyless) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no key")
}

func isGoodbye(err error) bool { return errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) }
