//go:build unix

package writer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// tool returns the path of a program that consumes what is published.
func tool(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		if p = "/usr/sbin/" + name; exec.Command(p, "-v").Run() == nil {
			return p
		}
		if os.Getenv("SVIDHELPER_TEST_STRICT") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return p
}

// run runs a program and returns what it says.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// rotations publishes some times in each mode, and calls use after each.
func rotations(t *testing.T, prepare func(o *Output) (use func(s *snapshot.Snapshot))) {
	t.Helper()
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			o := trio(filepath.Join(memoryDir(t), "tls"))
			o.Publish = mode
			a := newAuthority(t, "example.org")
			d := open(t, o)
			s := a.answer(t)
			publish(t, d, encode(t, s, o))
			use := prepare(o)
			use(s)
			for range 3 {
				s = a.answer(t)
				publish(t, d, encode(t, s, o))
				use(s)
			}
		})
	}
}

func TestOpenSSLLoadsThePair(t *testing.T) {
	tool(t, "openssl")
	rotations(t, func(o *Output) func(*snapshot.Snapshot) {
		name := func(n string) string { return filepath.Join(o.Dir, n) }
		return func(s *snapshot.Snapshot) {
			run(t, "openssl", "verify", "-CAfile", name("ca.crt"), "-untrusted", name("tls.crt"), name("tls.crt"))
			public := run(t, "openssl", "x509", "-in", name("tls.crt"), "-noout", "-pubkey")
			if got := run(t, "openssl", "pkey", "-in", name("tls.key"), "-pubout"); got != public {
				t.Error("the key belongs to another certificate")
			}
			serial := strings.TrimSpace(run(t, "openssl", "x509", "-in", name("tls.crt"), "-noout", "-serial"))
			if want := fmt.Sprintf("serial=%02X", s.X509.SVIDs[0].Certificates[0].SerialNumber); serial != want && serial != strings.Replace(want, "=", "=0", 1) {
				t.Errorf("%s, want %s", serial, want)
			}
		}
	})
}

// served dials and returns the serial number of the leaf it is shown.
func served(network, address string, s *snapshot.Snapshot) (string, error) {
	roots := x509.NewCertPool()
	for _, c := range s.X509.SVIDs[0].Bundle.X509Authorities() {
		roots.AddCert(c)
	}
	dialer := &net.Dialer{Timeout: 30 * time.Second}
	conn, err := tls.DialWithDialer(dialer, network, address, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// TestNginxLoadsThePair has the real nginx reload after each publish and present
// the new certificate.
func TestNginxLoadsThePair(t *testing.T) {
	nginx := tool(t, "nginx")
	rotations(t, func(o *Output) func(*snapshot.Snapshot) {
		base := t.TempDir()
		socket := filepath.Join(base, "s")
		conf := filepath.Join(base, "nginx.conf")
		must(t, os.WriteFile(conf, []byte(fmt.Sprintf(`
			daemon off; pid %[1]s/pid; error_log %[1]s/log info;
			%[4]s
			events {}
			http {
				access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b;
				fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
				server {
					listen unix:%[2]s ssl;
					ssl_certificate %[3]s/tls.crt; ssl_certificate_key %[3]s/tls.key;
					location / { return 200; }
				}
			}`, base, socket, o.Dir, asUser())), 0o644))
		run(t, "nginx", "-t", "-q", "-p", base, "-c", conf)
		cmd := exec.Command(nginx, "-p", base, "-c", conf)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		t.Cleanup(func() { // a killed master would leave its workers behind
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		})
		first := true
		return func(s *snapshot.Snapshot) {
			if !first {
				run(t, "nginx", "-p", base, "-c", conf, "-s", "reload")
			}
			first = false
			want := s.X509.SVIDs[0].Certificates[0].SerialNumber.String()
			var got string
			var err error
			for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				if got, err = served("unix", socket, s); got == want {
					return
				}
				<-time.After(5 * time.Millisecond) // nginx does not say when it is ready
			}
			log, _ := os.ReadFile(filepath.Join(base, "log"))
			t.Fatalf("nginx presents %s and not %s: %v\n%s", got, want, err, log)
		}
	})
}

// asUser has nginx keep root's rights, where it has them.
func asUser() string {
	if os.Geteuid() == 0 {
		return "user root;"
	}
	return ""
}

// TestGoServerLoadsThePair has a server that reads both files, by their visible
// names, for each connection.
func TestGoServerLoadsThePair(t *testing.T) {
	rotations(t, func(o *Output) func(*snapshot.Snapshot) {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				pair, err := tls.LoadX509KeyPair(filepath.Join(o.Dir, "tls.crt"), filepath.Join(o.Dir, "tls.key"))
				return &pair, err
			},
		})
		must(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.(*tls.Conn).Handshake()
				c.Close()
			}
		}()
		t.Cleanup(func() { l.Close(); <-done })
		return func(s *snapshot.Snapshot) {
			got, err := served("tcp", l.Addr().String(), s)
			if want := s.X509.SVIDs[0].Certificates[0].SerialNumber.String(); err != nil || got != want {
				t.Errorf("%s and not %s: %v", got, want, err)
			}
		}
	})
}

// TestKeystoresOpen has the programs that keystores are made for open them.
func TestKeystoresOpen(t *testing.T) {
	o := trio(t.TempDir())
	x := &o.X509SVIDs[0]
	x.PKCS12 = &Keystore{File: FileSpec{Name: "store.p12"}, Password: "changeit", Alias: "web"}
	x.JKS = &Keystore{File: FileSpec{Name: "store.jks"}, Password: "changeit"}
	s := newAuthority(t, "example.org").answer(t)
	d := open(t, o)
	publish(t, d, encode(t, s, o))
	p12, jks := filepath.Join(o.Dir, "store.p12"), filepath.Join(o.Dir, "store.jks")
	t.Run("openssl", func(t *testing.T) {
		out := run(t, "openssl", "pkcs12", "-in", p12, "-passin", "pass:changeit", "-nodes")
		if strings.Count(out, "BEGIN CERTIFICATE") != 3 || strings.Count(out, "BEGIN PRIVATE KEY") != 1 || !strings.Contains(out, "friendlyName: web") {
			t.Errorf("%s", out)
		}
		var key bytes.Buffer
		at := strings.Index(out, "-----BEGIN PRIVATE KEY")
		key.WriteString(out[at:])
		if _, err := tls.X509KeyPair(encode(t, s, o).file(t, "tls.crt").Data, key.Bytes()); err != nil {
			t.Error(err)
		}
	})
	t.Run("keytool", func(t *testing.T) {
		for store, alias := range map[string]string{p12: "web", jks: "spiffe://example.org/web"} {
			out := run(t, "keytool", "-list", "-keystore", store, "-storepass", "changeit")
			if !strings.Contains(out, "contains 2 entries") || !strings.Contains(out, alias+",") ||
				!strings.Contains(out, "PrivateKeyEntry") || !strings.Contains(out, "trustedCertEntry") {
				t.Errorf("%s: %s", store, out)
			}
		}
	})
}
