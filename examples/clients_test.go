//go:build linux

package examples_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// clientTLS is a client of the same trust domain: it verifies the server, and
// has an X.509-SVID of its own to show, from the newest authority.
func (s *service) clientTLS() *tls.Config {
	s.t.Helper()
	td := devapi.DefaultID.TrustDomain()
	now := time.Now()
	raw, err := s.api.Authority(td).IssueX509SVID(identity("client"), now.Add(-time.Minute), now.Add(time.Hour))
	if err != nil {
		s.t.Fatal(err)
	}
	svid, err := x509svid.ParseRaw(raw.X509Svid, raw.X509SvidKey)
	if err != nil {
		s.t.Fatal(err)
	}
	shown := tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}
	for _, c := range svid.Certificates {
		shown.Certificate = append(shown.Certificate, c.Raw)
	}
	return &tls.Config{RootCAs: roots(s.t, s.api), ServerName: "localhost", Certificates: []tls.Certificate{shown}}
}

// ownClient is a client that is a program of the server's.
func (s *service) ownClient(name, says string, argv ...string) *client {
	c := newClient(name, programDial(says, argv...))
	c.blind = true
	return c
}

// clientFiles writes what clientTLS has to files, for programs. Each call makes
// new ones.
func (s *service) clientFiles() (cert, key, bundle string) {
	s.t.Helper()
	own := s.clientTLS().Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		s.t.Fatal(err)
	}
	dir, err := os.MkdirTemp(s.dir, "client-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	write := func(name, kind string, der ...[]byte) string {
		var text []byte
		for _, b := range der {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})...)
		}
		path := adaptText(s.t, string(text), dir, name)
		if err := os.Chmod(path, 0o600); err != nil { // clients insist, of a key
			s.t.Fatal(err)
		}
		return path
	}
	authority := s.api.Authority(devapi.DefaultID.TrustDomain()).X509Authority()
	return write("tls.crt", "CERTIFICATE", own.Certificate...),
		write("tls.key", "PRIVATE KEY", der),
		write("ca.crt", "CERTIFICATE", authority.Raw)
}
