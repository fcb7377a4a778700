//go:build unix

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

const samples = "../../helper/config/testdata/samples"

// A sample is a configuration as users have it, made to run in a directory of
// the test's: old and new text in turns.
type sample struct {
	name  string
	edit  []string
	exit  int               // the status after SIGTERM
	as    map[string]string // stand-ins by name
	check func(t *testing.T, s *swapped)
	// probed says that health is served.
	probed bool
}

var sampleRuns = []sample{
	{name: "mysql", edit: []string{"/etc/mysql/ssl", "ssl", "/usr/bin/mysql", "mysql"}, as: map[string]string{"mysql": "exits"},
		check: reloads("mysql", "[-u] [root] [-e] [ALTER INSTANCE RELOAD TLS;]", "ssl/server-cert.pem")},
	{name: "postgresql", edit: []string{"/var/lib/postgresql/tls", "tls", "/usr/bin/psql", "psql"}, as: map[string]string{"psql": "exits"},
		check: reloads("psql", "[-d] [postgres] [-c] [SELECT pg_reload_conf()]", "tls/svid.crt")},
	{name: "mosquitto", edit: []string{"/etc/mosquitto/certs", "certs", "/usr/sbin/mosquitto", "mosquitto"}, as: map[string]string{"mosquitto": "stays"},
		check: serves("mosquitto", "[-c] [/etc/mosquitto/mosquitto.conf]", "SIGHUP")},
	{name: "envoy", as: map[string]string{"hot-restarter.py": "stays"}, check: serves("hot-restarter.py", "[start_envoy.sh]", "SIGHUP")},
	{name: "ghostunnel", as: map[string]string{"ghostunnel": "stays"},
		check: serves("ghostunnel", "[server] [--listen] [0.0.0.0:8443] [--target] [localhost:8080] [--keystore] [certs/svid_key.pem]", "SIGUSR1")},
	{name: "json", edit: []string{"/run/certs", "certs", `{"listener_enabled": true}`, `{"listener_enabled": true, "bind_port": PORT}`},
		as: map[string]string{"nginx": "stays"}, check: serves("nginx", "[-g] [daemon off;]", "SIGHUP"), probed: true},
	{name: "health-checks", edit: []string{"/run/certs", "certs", "/run/nginx.pid", "nginx.pid", "8082", "PORT"}, probed: true, as: map[string]string{"nginx": "stays"},
		check: func(t *testing.T, s *swapped) {
			s.writePID("nginx.pid", s.background("nginx"))
			s.start()
			s.record.await(t, "nginx SIGHUP")
			s.api.Rotate()
			s.record.await(t, "nginx SIGHUP")
		}},
	{name: "kubernetes-one-shot", edit: []string{`"/certs"`, `"certs"`}, check: func(t *testing.T, s *swapped) {
		s.start()
		if got := s.status(); got != 0 {
			t.Fatalf("exit status %d", got)
		}
		for _, name := range []string{"tls.crt", "tls.key", "ca.pem", "jwt_svid.token", "jwks.json"} {
			if s.read("certs", name) == "" {
				t.Errorf("%s is empty", name)
			}
		}
	}},
	{name: "jwt-only", edit: []string{"/run/tokens", "tokens"}, check: func(t *testing.T, s *swapped) {
		s.start()
		eventually(t, func() error {
			for _, name := range []string{"vault.jwt", "s3.jwt", "jwks.json"} {
				if _, err := os.Stat(s.path("tokens", name)); err != nil {
					return err
				}
			}
			return nil
		})
		before := s.read("tokens", "jwks.json")
		faultlessly(t, s.api.AddAuthority(devapi.DefaultID.TrustDomain()))
		s.changes("tokens/jwks.json", before)
	}},
	{name: "x509-only", check: func(t *testing.T, s *swapped) {
		s.start()
		s.log.await(t, "published", "spiffe://example.org/outside")
		before := s.read("svid.pem")
		s.api.Rotate()
		s.changes("svid.pem", before)
	}},
	{name: "native-nginx", edit: []string{"/run/nginx/tls", "tls", `group = "nginx"`, `group = "GID"`, "8443", "SERVICE", "8081", "PORT"},
		exit: 3, probed: true, as: map[string]string{"nginx": "stays"}, check: func(t *testing.T, s *swapped) {
			serves("nginx", "[-g] [daemon off;]", "SIGHUP")(t, s)
			s.log.await(t, "rotation proven", snapshot.Serial(s.api.SVIDs()[0].Certificates[0].SerialNumber))
		}},
}

// reloads shows a command that runs at each rotation and exits.
func reloads(name, args, file string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.start()
		for range 3 {
			if line := s.record.await(t, name+" started"); !strings.HasSuffix(line, " "+args) {
				t.Errorf("it was started as %s", line)
			}
			wantCertificates(t, s.read(file), s.api.SVIDs()[0].Certificates...)
			s.log.await(t, "process ended", "status=0")
			s.api.Rotate()
		}
		s.record.await(t, name+" started")
	}
}

// serves shows a server that stays, and hears of each rotation.
func serves(name, args, signal string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.start()
		if line := s.record.await(t, name+" started"); !strings.Contains(line, " "+args) {
			t.Errorf("it was started as %s", line)
		}
		for range 2 {
			s.api.Rotate()
			s.record.await(t, name+" "+signal)
		}
		if n := s.record.count("started"); n != 1 {
			t.Errorf("%d starts", n)
		}
	}
}

// changes waits until a file is another one.
func (s *swapped) changes(file, before string) {
	s.t.Helper()
	eventually(s.t, func() error {
		if b, err := os.ReadFile(s.path(file)); err != nil || string(b) == before {
			return fmt.Errorf("%s has not changed: %v", file, err)
		}
		return nil
	})
}

// text is the sample's, with the addresses and directories of the test, and the
// port of its probe.
func (p sample) text(s *swapped) (text string, pr probe) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(samples, p.name+".conf"))
	faultlessly(s.t, err)
	socket := strings.TrimPrefix(s.api.Addr(), "unix://")
	edit := append(p.edit, "/run/spire/agent.sock", socket, "/tmp/spire-agent/public/api.sock", socket, "/spiffe-workload-api/spire-agent.sock", socket)
	text = strings.NewReplacer(edit...).Replace(string(b))
	for i := 0; i < len(edit); i += 2 {
		if i < len(p.edit) && !strings.Contains(string(b), edit[i]) {
			s.t.Errorf("%q is not in the sample", edit[i])
		}
	}
	port := freePort(s.t)
	service := 0
	if strings.Contains(text, "SERVICE") {
		service = s.serveTLS("tls/tls.crt", "tls/tls.key")
	}
	text = strings.NewReplacer("PORT", fmt.Sprint(port), "SERVICE", fmt.Sprint(service), "GID", fmt.Sprint(os.Getgid())).Replace(text)
	return text, probe{fmt.Sprintf("http://127.0.0.1:%d", port)}
}

// serveTLS serves what is in the files at the moment, and returns the port.
func (s *swapped) serveTLS(cert, key string) int {
	s.t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(s.path(cert), s.path(key))
		return &pair, err
	}})
	faultlessly(s.t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _ = c.(*tls.Conn).Handshake(); c.Close() })
		}
	})
	s.t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

// printed returns the native form that config print gives, which config check
// accepts and config print leaves as it is.
func (s *swapped) printed(text string) string {
	s.t.Helper()
	s.write("old.conf", text)
	native := s.output("config", "print", "old.conf")
	s.write("native.conf", native)
	if got := s.output("config", "check", "native.conf"); got != "native.conf: the dialect is svidhelper's own (HCL 2)\nnative.conf: ok\n" {
		s.t.Errorf("config check: %s", got)
	}
	if got := s.output("config", "print", "native.conf"); got != native {
		s.t.Errorf("printed once more it is\n%s", got)
	}
	return native
}

func (s *swapped) output(args ...string) string {
	s.t.Helper()
	out, err := s.command("svidhelper", args...).Output()
	if err != nil {
		s.t.Fatalf("%q: %v", args, err)
	}
	return string(out)
}

// run runs the sample, under the old name or in its native form.
func (p sample) run(t *testing.T, native bool) {
	t.Parallel()
	s := newSwapped(t, devapi.Config{Identities: []devapi.Identity{
		{ID: devapi.DefaultID}, {ID: spiffeid.RequireFromString("spiffe://example.org/outside"), Hint: "external"},
	}})
	for name, as := range p.as {
		s.standIn(name, as)
	}
	text, probe := p.text(s)
	if native {
		s.name, text = "svidhelper", s.printed(text)
	}
	s.configure(text)
	p.check(t, s)
	if p.probed {
		probe.await(t, "/live", 200)
		probe.await(t, "/ready", 200)
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // unless it has ended
	if got := s.status(); got != p.exit {
		t.Errorf("exit status %d, want %d", got, p.exit)
	}
}

// TestCompatSamples runs every sample as it is, and in its native form.
func TestCompatSamples(t *testing.T) {
	files, err := filepath.Glob(samples + "/*.conf")
	faultlessly(t, err)
	if len(files) != len(sampleRuns) {
		t.Errorf("there are %d samples, and %d are run", len(files), len(sampleRuns))
	}
	for _, p := range sampleRuns {
		t.Run(p.name, func(t *testing.T) { p.run(t, false) })
		t.Run(p.name+" printed", func(t *testing.T) { p.run(t, true) })
	}
}
