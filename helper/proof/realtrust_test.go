//go:build linux

package proof

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
)

// A trustedBy is a server of the distribution's that does mutual TLS.
type trustedBy struct {
	name, program string
	starttls      StartTLS
	files         map[string]string
	argv          []string
	sig           syscall.Signal // has it read its files; 0: it is started anew
	names         bool           // it names the authorities that it takes
	late          bool           // it refuses a client certificate after the handshake, without an alert
}

const trustNginx = `
daemon off;
pid DIR/pid;
error_log DIR/log info;
events {}
http {
	access_log off;
	client_body_temp_path DIR/t1; proxy_temp_path DIR/t2; fastcgi_temp_path DIR/t3;
	uwsgi_temp_path DIR/t4; scgi_temp_path DIR/t5;
	server {
		listen 127.0.0.1:PORT ssl;
		ssl_certificate DIR/cert.pem;
		ssl_certificate_key DIR/key.pem;
		ssl_client_certificate DIR/clients.pem;
		ssl_verify_client on;
	}
}
`

var trustedServers = []trustedBy{
	{name: "nginx", program: "nginx", files: map[string]string{"nginx.conf": trustNginx}, argv: []string{"-e", "DIR/log", "-c", "DIR/nginx.conf"}, sig: syscall.SIGHUP, names: true, late: true},
	{name: "haproxy", program: "haproxy", files: map[string]string{"haproxy.cfg": `
global
	stats socket DIR/admin.sock mode 600 level admin
	log stderr local0 info
defaults
	mode http
	log global
	option httplog
	timeout client 10s
	timeout connect 10s
	timeout server 10s
frontend f
	bind 127.0.0.1:PORT ssl crt DIR/cert.pem ca-file DIR/clients.pem verify required
	http-request return status 200
`}, argv: []string{"-W", "-db", "-f", "DIR/haproxy.cfg"}, sig: syscall.SIGUSR2, names: true},
	{name: "nats", program: "nats-server", starttls: StartTLSNATS, files: map[string]string{"nats.conf": `listen: 127.0.0.1:PORT
tls { cert_file: "DIR/cert.pem", key_file: "DIR/key.pem", ca_file: "DIR/clients.pem", verify: true }
`}, argv: []string{"-c", "DIR/nats.conf"}, sig: syscall.SIGHUP, names: true},
	{name: "mosquitto", program: "mosquitto", files: map[string]string{"m.conf": `listener PORT 127.0.0.1
allow_anonymous true
cafile DIR/clients.pem
certfile DIR/cert.pem
keyfile DIR/key.pem
require_certificate true
log_dest stderr
`}, argv: []string{"-c", "DIR/m.conf"}},
	{name: "redis", program: "redis-server", files: map[string]string{"redis.conf": `port 0
bind 127.0.0.1
tls-port PORT
tls-cert-file DIR/cert.pem
tls-key-file DIR/key.pem
tls-ca-cert-file DIR/clients.pem
tls-auth-clients yes
dir DIR
save ""
`}, argv: []string{"DIR/redis.conf"}},
	{name: "slapd", program: "slapd", starttls: StartTLSLDAP, files: map[string]string{"slapd.conf": `pidfile DIR/pid
TLSCertificateFile DIR/cert.pem
TLSCertificateKeyFile DIR/key.pem
TLSCACertificateFile DIR/clients.pem
TLSVerifyClient demand
`}, argv: []string{"-h", "ldap://127.0.0.1:PORT", "-f", "DIR/slapd.conf", "-d", "stats"}, names: true, late: true},
	{name: "stunnel", program: "stunnel4", files: map[string]string{"stunnel.conf": `foreground = yes
syslog = no
debug = 5
pid =
[s]
accept = 127.0.0.1:PORT
connect = DIR/none
cert = DIR/cert.pem
key = DIR/key.pem
CAfile = DIR/clients.pem
verifyChain = yes
`}, argv: []string{"DIR/stunnel.conf"}, sig: syscall.SIGHUP, names: true},
}

// TestMosquittoKeepsItsAuthorities: at SIGHUP it reads its certificate and key again,
// and not its authorities. The leaf alone is proven, and every client of the new
// authority would be refused: client_ca finds that out.
func TestMosquittoKeepsItsAuthorities(t *testing.T) {
	t.Parallel()
	program := find(t, "mosquitto", "/usr/sbin/mosquitto")
	s := newServer(t)
	port := freePort(t)
	i := slices.IndexFunc(trustedServers, func(c trustedBy) bool { return c.name == "mosquitto" })
	s.write("m.conf", []byte(strings.NewReplacer("DIR", s.dir, "PORT", port).Replace(trustedServers[i].files["m.conf"])))
	a, b := issueBy(t, nil, 0xa, "a"), issueBy(t, nil, 0xb, "b")
	before, after := issueBy(t, a, 1, "own"), issueBy(t, b, 2, "own")
	s.trust(a)
	s.publish(before)
	s.start(program, "-c", s.path("m.conf"))
	t.Cleanup(func() { s.kill() })
	trust := prover(t, Config{TLS: "127.0.0.1:" + port, ClientCA: true, Timeout: patience})
	if _, err := trust.Prove(t.Context(), wantTrust(before, a)); err != nil {
		t.Fatal(err)
	}
	s.trust(a, b)
	s.publish(after)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	leaf := prover(t, Config{TLS: "127.0.0.1:" + port, Timeout: patience})
	if _, err := leaf.Prove(t.Context(), wantTrust(after, a, b)); err != nil {
		t.Errorf("the leaf: %v", err)
	}
	if _, err := trust.Look(t.Context(), wantTrust(after, a, b), Result{}); !strings.Contains(fmt.Sprint(err), "refuses our client certificate") {
		t.Errorf("its trust: %v", err)
	}
}

// trust writes a bundle.
func (s *server) trust(authorities ...*tls.Certificate) {
	s.t.Helper()
	var bundle []byte
	for _, a := range authorities {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate[0]})...)
	}
	s.write("clients.pem", bundle)
}

// TestRealTrust: what the servers of the distribution show of their trust, before and
// after they have taken up a bundle with another authority, and when a leaf comes from
// it.
func TestRealTrust(t *testing.T) {
	a, b := issueBy(t, nil, 0xa, "a"), issueBy(t, nil, 0xb, "b")
	for _, c := range trustedServers {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			program := find(t, c.program, "/usr/sbin/"+c.program)
			s := newServer(t)
			port := freePort(t)
			fill := strings.NewReplacer("DIR", s.dir, "PORT", port).Replace
			argv := []string{program}
			for _, arg := range c.argv {
				argv = append(argv, fill(arg))
			}
			for name, text := range c.files {
				s.write(name, []byte(fill(text)))
			}
			take := func(own *tls.Certificate, trusted ...*tls.Certificate) Want {
				s.trust(trusted...)
				s.publish(own)
				if c.program == "haproxy" {
					s.join("cert.pem", "key.pem")
				}
				switch {
				case s.cmd == nil:
					s.start(argv...)
					t.Cleanup(func() { s.kill() })
				case c.sig == 0:
					s.kill()
					s.start(argv...)
				default:
					if err := s.cmd.Process.Signal(c.sig); err != nil {
						t.Fatal(err)
					}
				}
				return wantTrust(own, trusted...)
			}
			again := func(Escalation) error { return s.cmd.Process.Signal(c.sig) } // HAProxy hears none while it starts
			p := prover(t, Config{TLS: "127.0.0.1:" + port, StartTLS: c.starttls, ClientCA: true, Timeout: 3 * time.Second, OnFailure: slices.Repeat([]Escalation{EscalateSignal}, 9)})
			first, second := issueBy(t, a, 1, "own"), issueBy(t, b, 2, "own")
			prove := func(what string, want Want, unseen ...string) {
				t.Helper()
				began := time.Now()
				r, err := p.Run(t.Context(), want, again)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if !slices.Equal(r.Unseen, unseen) {
					t.Errorf("%s: %v are not seen, want %v", what, r.Unseen, unseen)
				}
				t.Logf("%s: proven after %v with %d connections; not seen: %v", what, time.Since(began), r.Attempts, r.Unseen)
			}
			prove("one authority", take(first, a))

			r, err := p.Look(t.Context(), wantTrust(first, a, b), Result{})
			switch {
			case c.names && (r.Proven || !strings.Contains(fmt.Sprint(err), "does not name the X.509 authority 0B")):
				t.Errorf("before it has the new bundle: %+v, %v", r, err)
			case !c.names && (err != nil || !slices.Equal(r.Unseen, []string{"0B"})):
				t.Errorf("before it has the new bundle: %+v, %v", r, err)
			}
			var unseen []string
			if !c.names {
				unseen = []string{"0B"}
			}
			prove("two authorities", take(first, a, b), unseen...)
			if !c.names {
				unseen = []string{"0A"}
			}
			prove("a leaf of the new one", take(second, a, b), unseen...)

			// of an authority with the name of one that it takes, so that it is shown
			stranger := issueBy(t, issueBy(t, nil, 0xc, "a"), 3, "own")
			want := wantTrust(second)
			want.Certificate = func() (*tls.Certificate, error) { return stranger, nil }
			testbed.Eventually(t, func() error { // an old worker may take one more connection
				r, err := p.Look(t.Context(), want, Result{})
				if r.Serial != "02" || (err == nil) != c.late || err != nil && !strings.Contains(err.Error(), "refuses our client certificate") {
					return testbed.NotYet("a stranger's certificate: %+v, %v", r, err)
				}
				return nil
			})
		})
	}
}
