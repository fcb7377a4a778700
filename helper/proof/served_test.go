package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// A look is one connection, whatever it shows.
func TestLookIsOneConnection(t *testing.T) {
	t.Parallel()
	before, after := issue(t, 1), issue(t, 2)
	s := serve(t, "tcp", "127.0.0.1:0", before, nil)
	p := prover(t, Config{TLS: s.address()})
	r, err := p.Look(t.Context(), wanted(after), Result{})
	if e := failure(t, err); e.Served != "01" || e.Want != "02" || e.Err != nil || r.Proven || r.Attempts != 1 {
		t.Errorf("%+v, %+v", r, e)
	}
	s.last(t, 1)
	s.cert.Store(after)
	if r, err := p.Look(t.Context(), wanted(after), Result{}); err != nil || !r.Proven || r.Serial != "02" || r.Latency <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	s.sawGoodbye(t, "the second look")
	if s.conns != 2 {
		t.Errorf("%d connections", s.conns)
	}
	nobody := prover(t, Config{TLS: deserted(t)})
	if r, err := nobody.Look(t.Context(), wanted(after), Result{}); failure(t, err).Err == nil || r.Attempts != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// The old certificate was seen, then the service hangs until the proof ends: its
// error is about the certificate and not about the last connection.
func TestProofCutShortSaysWhatIsStillServed(t *testing.T) {
	t.Parallel()
	stillServes(t, func(s *service) {
		s.before = func(conn net.Conn) error {
			s.mu.Lock()
			first := s.conns == 1
			s.mu.Unlock()
			if first {
				return nil
			}
			io.Copy(io.Discard, conn)
			return errors.New("hung")
		}
	})
}

// stillServes proves in vain that a service serves something else, and wants to
// hear of the old certificate.
func stillServes(t *testing.T, change func(*service)) {
	t.Helper()
	unhurried(t, 300*time.Millisecond, func(timeout time.Duration) error {
		s := serve(t, "tcp", "127.0.0.1:0", issue(t, 0xabc), change)
		_, err := prover(t, Config{TLS: s.address(), Timeout: timeout}).Prove(t.Context(), wanted(issue(t, 0xdef)))
		e := failure(t, err)
		if e.Served != "0ABC" || e.Err != nil || !strings.Contains(err.Error(), "still serves serial 0ABC") {
			return err
		}
		return nil
	})
}

// What was served before an escalation is still said when it took the service
// down.
func TestEscalationKeepsWhatWasServed(t *testing.T) {
	t.Parallel()
	unhurried(t, 50*time.Millisecond, func(timeout time.Duration) error {
		s := serve(t, "tcp", "127.0.0.1:0", issue(t, 0xabc), nil)
		p := prover(t, Config{TLS: s.address(), Timeout: timeout, OnFailure: []Escalation{EscalateRestart}})
		r, err := p.Run(t.Context(), wanted(issue(t, 0xdef)), func(Escalation) error { return s.ln.Close() })
		e := failure(t, err)
		if r.Serial != "0ABC" || e.Served != "0ABC" || e.Err == nil || !strings.Contains(err.Error(), "serial 0ABC, not the published 0DEF") {
			return fmt.Errorf("%+v: %w", r, err)
		}
		return nil
	})
}

// The end of a try ends the handshake in two ways, of which either may win.
func TestSilenceIsNamedInTwoWays(t *testing.T) {
	for _, err := range []error{context.DeadlineExceeded, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}} {
		if err := explain(err); !strings.Contains(err.Error(), "says nothing in the handshake") {
			t.Error(err)
		}
	}
}

// What is no TLS service is named for what it looks like.
func TestNoTLSService(t *testing.T) {
	t.Parallel()
	for say, want := range map[string]string{
		"HTTP/1.0 400 Bad Request\r\n\r\n": "does not speak TLS here",
		"SSH-2.0-OpenSSH\r\n":              "starttls",
		"\x15\x03\x03\x00\x02\x02\x28":     "handshake failure",
		"":                                 "closed the connection in the handshake",
		"silence":                          "says nothing in the handshake",
	} {
		s := serve(t, "tcp", "127.0.0.1:0", issue(t, 1), func(s *service) {
			s.before = func(conn net.Conn) error {
				conn.Read(make([]byte, 4096)) // else it would be a reset
				if say == "silence" {
					io.Copy(io.Discard, conn)
				} else {
					io.WriteString(conn, say)
				}
				return errors.New("done")
			}
		})
		unhurried(t, 50*time.Millisecond, func(timeout time.Duration) error {
			_, err := prover(t, Config{TLS: s.address(), Timeout: timeout}).Prove(t.Context(), wanted(issue(t, 2)))
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "tls: tls:") {
				return fmt.Errorf("%q: %w", say, err)
			}
			return nil
		})
	}
}
