//go:build linux

package proof

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rotate publishes and signals n times and logs how long it took until each
// certificate was seen.
func (s *server) rotate(p *Prover, n int, own func() (*tls.Certificate, error)) {
	s.t.Helper()
	var took []time.Duration
	attempts := 0
	for i := range n {
		want := s.publish(issue(s.t, int64(1000+i)))
		want.Certificate = own
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			s.t.Fatal(err)
		}
		r, err := p.Prove(s.t.Context(), want)
		if err != nil {
			s.t.Fatalf("rotation %d: %v", i, err)
		}
		took = append(took, r.Latency)
		attempts += r.Attempts
	}
	slices.Sort(took)
	s.t.Logf("%d rotations, each proven: publish to proven p50 %v, p99 %v, %d connections",
		n, took[n/2], took[n*99/100], attempts)
}

const nginxConfig = `
daemon off;
master_process on;
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/log info;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3;
	uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
	server {
		listen unix:%[1]s/socket ssl;
		ssl_certificate %[1]s/cert.pem;
		ssl_certificate_key %[1]s/key.pem;
		ssl_client_certificate %[1]s/clients.pem;
		ssl_verify_client on;
	}
}
`

func startNginx(t *testing.T) (s *server, own *tls.Certificate, first Want) {
	t.Helper()
	nginx := find(t, "nginx", "/usr/sbin/nginx")
	s = newServer(t)
	own = issue(t, 99)
	first = s.publish(issue(t, 1))
	s.write("clients.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))
	s.write("nginx.conf", fmt.Appendf(nil, nginxConfig, s.dir))
	s.start(nginx, "-e", s.path("log"), "-c", s.path("nginx.conf"))
	t.Cleanup(func() { s.kill() })
	return s, own, first
}

func TestNginxRotationsAreProven(t *testing.T) {
	t.Parallel()
	s, own, first := startNginx(t)
	mine := func() (*tls.Certificate, error) { return own, nil }
	p := prover(t, Config{TLS: "unix://" + s.path("socket"), Timeout: patience})
	first.Certificate = mine
	if _, err := p.Prove(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	s.rotate(p, 8, mine)
	for _, bad := range []string{"[error]", "[crit]", "[alert]", "SSL_do_handshake", "reset by peer"} {
		if strings.Contains(s.logged(), bad) {
			t.Errorf("the proofs made nginx log %q", bad)
		}
	}
}

// The master does not hear its signal: the proof notices, the second signal
// does not help, the restart does.
func TestNginxWithItsMasterStopped(t *testing.T) {
	t.Parallel()
	unhurried(t, 300*time.Millisecond, func(timeout time.Duration) error {
		s, _, first := startNginx(t)
		p := prover(t, Config{
			TLS:       "unix://" + s.path("socket"),
			Timeout:   timeout,
			OnFailure: []Escalation{EscalateSignal, EscalateRestart},
		})
		patient := prover(t, Config{TLS: "unix://" + s.path("socket"), Timeout: patience})
		if _, err := patient.Prove(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		want := s.publish(issue(t, 2))
		var before error
		r, err := p.Run(t.Context(), want, func(e Escalation) error {
			if e == EscalateSignal {
				return s.cmd.Process.Signal(syscall.SIGHUP)
			}
			_, before = p.Prove(t.Context(), want) // what the log says now
			s.kill()
			os.Remove(s.path("socket"))
			s.start(s.argv...)
			return nil
		})
		if before == nil || !slices.Equal(r.Escalated, p.cfg.OnFailure) {
			t.Errorf("%+v, %v, before the restart %v", r, err, before)
		}
		if err != nil {
			return err
		}
		if !strings.Contains(before.Error(), "serial 01,") || !strings.Contains(before.Error(), "published 02,") {
			return fmt.Errorf("before the restart: %w", before)
		}
		t.Logf("proven after %v, having escalated %v", r.Latency, r.Escalated)
		return nil
	})
}

func TestPostgresRotationsAreProven(t *testing.T) {
	t.Parallel()
	postgres := find(t, "postgres", "/usr/lib/postgresql/*/bin/postgres")
	s := newServer(t)
	initdb := s.command(filepath.Join(filepath.Dir(postgres), "initdb"),
		"-D", s.path("data"), "-A", "trust", "--no-sync", "--no-instructions", "-U", "proof", "--locale=C", "-E", "UTF8")
	if err := initdb.Run(); err != nil {
		t.Fatal(err)
	}
	first := s.publish(issue(t, 1))
	own := issue(t, 99)
	s.write("clients.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))
	port := freePort(t)
	s.start(postgres, "-D", s.path("data"), "-k", s.dir, "-p", port,
		"-c", "listen_addresses=127.0.0.1,::1", "-c", "fsync=off", "-c", "log_connections=on",
		"-c", "ssl=on", "-c", "ssl_cert_file="+s.path("cert.pem"), "-c", "ssl_key_file="+s.path("key.pem"),
		"-c", "ssl_ca_file="+s.path("clients.pem"))
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGQUIT)
		s.cmd.Wait()
	})
	p := prover(t, Config{TLS: "127.0.0.1:" + port, StartTLS: StartTLSPostgres, Timeout: patience})
	if _, err := p.Prove(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	s.rotate(p, 6, func() (*tls.Certificate, error) { return own, nil })
	for line := range strings.Lines(s.logged()) {
		if strings.Contains(line, "could not") || strings.Contains(line, "incomplete") || strings.Contains(line, "SSL error") {
			t.Errorf("the proofs made PostgreSQL log %q", line)
		}
	}

	// it does no TLS on its socket, and says so
	unhurried(t, 50*time.Millisecond, func(timeout time.Duration) error {
		socket := prover(t, Config{TLS: "unix://" + s.path(".s.PGSQL."+port), StartTLS: StartTLSPostgres, Timeout: timeout})
		if _, err := socket.Prove(t.Context(), first); !strings.Contains(fmt.Sprint(err), "does not do TLS") {
			return fmt.Errorf("on the socket: %w", err)
		}
		return nil
	})
}

// A stopped server accepts connections in the kernel and answers none.
func TestServerThatHangs(t *testing.T) {
	t.Parallel()
	s, _, first := startNginx(t)
	p := prover(t, Config{TLS: "unix://" + s.path("socket"), Timeout: patience})
	if _, err := p.Prove(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	hasty := prover(t, Config{TLS: "unix://" + s.path("socket"), Timeout: 300 * time.Millisecond})
	r, err := hasty.Prove(t.Context(), first)
	var late net.Error
	if !errors.As(failure(t, err), &late) || !late.Timeout() || r.Attempts != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
