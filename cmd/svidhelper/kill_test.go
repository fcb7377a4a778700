//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestKilledInARotation: 200 times the helper is killed at a random moment of a
// rotation, with two hooks of which one has a proof, and started again. In the end every
// hook has been told of the set on disk, and the proof has seen it.
func TestKilledInARotation(t *testing.T) {
	const kills = 200
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := memoryDir(t)
	in := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	// The service serves what the first hook has handed it.
	service := serveFile(t, in("served.pem"))
	config := in("helper.conf")
	text := fmt.Sprintf(`
agent_address = %q
output %q {
  x509_svid {
    combined = "svid.pem"
  }
}
hook "service" {
  command = ["cp", %[2]q, %[3]q]
  proof {
    tls = %[4]q
  }
}
hook "other" {
  command = ["cp", %[2]q, %[5]q]
}
health {
  address = "127.0.0.1:0"
}
`, api.Addr(), in("certs"), in("served.pem"), service, in("told.pem"))
	text = strings.ReplaceAll(text, fmt.Sprintf("[\"cp\", %q", in("certs")), fmt.Sprintf("[\"cp\", %q", in("certs", "svid.pem")))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var (
		log    *lines
		health string // its address
	)
	start := func() (kill func()) {
		cmd := exec.Command("svidhelper", "run", "-config", config)
		log = newLines()
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			_, rest, found := strings.Cut(log.String(), "\"health is served\" address=")
			if !found {
				return fmt.Errorf("health is not served: %s", log)
			}
			health, _, _ = strings.Cut(rest, "\n")
			return nil
		})
		return sync.OnceFunc(func() {
			_ = cmd.Process.Signal(syscall.SIGKILL)
			_ = cmd.Wait()
		})
	}
	// settled waits until the helper says that all is well, and looks whether it is.
	settled := func(when string) {
		t.Helper()
		want := fmt.Sprintf("%x", api.SVIDs()[0].Certificates[0].SerialNumber)
		eventually(t, func() error {
			resp, err := http.Get("http://" + health + "/ready")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			metrics, err := http.Get("http://" + health + "/metrics")
			if err != nil {
				return err
			}
			defer metrics.Body.Close()
			body, err := io.ReadAll(metrics.Body)
			if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "svidhelper_proof_success{target=\"service\",address=\""+service+"\"} 1") {
				return fmt.Errorf("%s: ready is %d, or not proven: %v", when, resp.StatusCode, err)
			}
			for _, name := range []string{"served.pem", "told.pem"} {
				if read(in(name)) != read(in("certs", "svid.pem")) {
					return fmt.Errorf("%s: %s is not what is on disk", when, name)
				}
			}
			_, chain, _ := strings.Cut(read(in("certs", "svid.pem")), "-----END PRIVATE KEY-----\n")
			if certs := certificates(t, chain); len(certs) == 0 || fmt.Sprintf("%x", certs[0].SerialNumber) != want {
				return fmt.Errorf("%s: the last SVID is not on disk", when)
			}
			return nil
		})
	}
	defer func() {
		if t.Failed() {
			t.Log(log)
		}
	}()
	for n := range kills {
		kill := start()
		settled(fmt.Sprintf("start %d", n))
		api.Rotate()
		<-time.After(time.Duration(rand.Int64N(int64(20 * time.Millisecond)))) // the moment is what is tested
		kill()
	}
	kill := start()
	settled("in the end")
	kill()
	http.DefaultClient.CloseIdleConnections()
}

// serveFile serves TLS with the pair that a file holds at each connection.
func serveFile(t *testing.T, name string) (address string) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(name, name)
		return &c, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); serving.Wait() })
	return ln.Addr().(*net.TCPAddr).String()
}
