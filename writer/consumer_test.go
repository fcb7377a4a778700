//go:build unix

package writer

import (
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

	"github.com/svidhelper/svidhelper/helper/testbed"
)

// rotations publishes some times in each mode, and calls use after each.
func rotations(t *testing.T, prepare func(o *output) (use func(s []File))) {
	t.Helper()
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			o := trio(filepath.Join(memoryDir(t), "tls"))
			o.Publish = mode
			a := newAuthority(t, "example.org")
			d := open(t, o)
			s := a.answer(t)
			publish(t, d, wanted(s, o))
			use := prepare(o)
			use(s)
			for range 3 {
				s = a.answer(t)
				publish(t, d, wanted(s, o))
				use(s)
			}
		})
	}
}

func TestOpenSSLLoadsThePair(t *testing.T) {
	testbed.Program(t, "openssl")
	rotations(t, func(o *output) func([]File) {
		name := func(n string) string { return filepath.Join(o.Dir, n) }
		return func(s []File) {
			testbed.Run(t, "openssl", "verify", "-CAfile", name("ca.crt"), "-untrusted", name("tls.crt"), name("tls.crt"))
			public := testbed.Run(t, "openssl", "x509", "-in", name("tls.crt"), "-noout", "-pubkey")
			if got := testbed.Run(t, "openssl", "pkey", "-in", name("tls.key"), "-pubout"); got != public {
				t.Error("the key belongs to another certificate")
			}
			serial := strings.TrimSpace(testbed.Run(t, "openssl", "x509", "-in", name("tls.crt"), "-noout", "-serial"))
			if want := fmt.Sprintf("serial=%02X", leafOf(t, s).SerialNumber); serial != want && serial != strings.Replace(want, "=", "=0", 1) {
				t.Errorf("%s, want %s", serial, want)
			}
		}
	})
}

// served dials and returns the serial number of the leaf it is shown.
func served(network, address string, s []File) (string, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s[2].Data)
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
	nginx := testbed.Program(t, "nginx")
	rotations(t, func(o *output) func([]File) {
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
		testbed.Run(t, "nginx", "-t", "-q", "-p", base, "-c", conf)
		cmd := exec.Command(nginx, "-p", base, "-c", conf)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		t.Cleanup(func() { // a killed master would leave its workers behind
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		})
		first := true
		return func(s []File) {
			if !first {
				testbed.Run(t, "nginx", "-p", base, "-c", conf, "-s", "reload")
			}
			first = false
			want := leafOf(t, s).SerialNumber.String()
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
	rotations(t, func(o *output) func([]File) {
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
		return func(s []File) {
			got, err := served("tcp", l.Addr().String(), s)
			if want := leafOf(t, s).SerialNumber.String(); err != nil || got != want {
				t.Errorf("%s and not %s: %v", got, want, err)
			}
		}
	})
}
