package proof

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// plainSize bounds, in bytes, what a service may say before TLS.
const plainSize = 64 << 10

// A sighting is what a service has shown.
type sighting struct {
	leaf *x509.Certificate // nil: none
	at   time.Time
	// asked says that we were asked for a certificate. That is when crypto/tls
	// has verified the service's signature, in TLS 1.2 and 1.3.
	asked bool
	names [][]byte // of the authorities that it takes, as it says; empty: any
	// ours is what we have shown; nil: nothing, because, unless nil, of unsuited.
	ours     *tls.Certificate
	unsuited error
	refused  error // why that was not accepted, or is not known to be
}

// dial makes one connection. There can be a sighting and an error: a service
// that turns us away has shown its certificate before.
func (p *Prover) dial(ctx context.Context, want Want) (sighting, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	// one after the other where a name has several addresses: we are in no
	// hurry, and each connection costs the service something
	dialer := net.Dialer{FallbackDelay: -1}
	dialled, err := dialer.DialContext(ctx, p.at.network, p.at.address)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return sighting{}, fmt.Errorf("nothing listens there; start the service, or correct the address of proof: %w", err)
	}
	if err != nil {
		return sighting{}, err
	}
	conn := &counted{Conn: dialled}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	protocol := protocols[p.cfg.StartTLS]
	if protocol.upgrade != nil {
		if err := upgrade(conn, protocol, p.cfg.ServerName); err != nil {
			return sighting{}, fmt.Errorf("starttls %s: %w", p.cfg.StartTLS, err)
		}
	}
	var seen sighting
	secure := tls.Client(conn, p.tlsConfig(want, &seen))
	err = secure.HandshakeContext(ctx)
	seen.at = time.Now()
	if err != nil {
		if seen.refused = err; !seen.asked || !turnedAway(err) {
			seen.leaf = nil // the service may not have the key for it
		}
		return seen, explain(err)
	}
	if stop() {
		seen.refused = goodbye(ctx, conn, secure, protocol)
	}
	return seen, nil
}

// explain says of a handshake that failed what it looks like from here.
func explain(err error) error {
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &header):
		return fmt.Errorf("the service does not speak TLS here; is it another port, or is starttls missing: %w", err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the service closed the connection in the handshake: %w", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded): // whichever comes first
		return fmt.Errorf("the service says nothing in the handshake: %w", err)
	}
	return fmt.Errorf("handshake: %w", err)
}

func (p *Prover) tlsConfig(want Want, seen *sighting) *tls.Config {
	return &tls.Config{
		ServerName: p.cfg.ServerName,
		NextProtos: p.cfg.ALPN,
		// Nothing is sent to the service and nothing that it says is used:
		// all that matters is whether the leaf is, byte for byte, the one that
		// we have published. Names, chains and times are for its clients. For
		// the same reason old versions of TLS are welcome.
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS10,
		// No session cache: a resumed session shows no certificate.
		VerifyConnection: func(state tls.ConnectionState) error {
			seen.leaf = state.PeerCertificates[0]
			return nil
		},
		GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			seen.asked, seen.names = true, asked.AcceptableCAs
			if want.Certificate == nil {
				return new(tls.Certificate), nil
			}
			own, err := want.Certificate()
			if err == nil && own != nil {
				err = asked.SupportsCertificate(own)
			}
			if err != nil || own == nil {
				// one that is sure to be refused would only make noise; a
				// service that insists says so, and has shown its own
				p.log.Debug("no client certificate shown", "error", err)
				seen.unsuited = err
				return new(tls.Certificate), nil
			}
			seen.ours = own
			return own, nil
		},
	}
}

// turnedAway reports whether the handshake was ended by an alert of the
// service, as when it does not like our certificate.
func turnedAway(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
