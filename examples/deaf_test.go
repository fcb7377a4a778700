//go:build linux

package examples_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// deafServer, as its first argument, makes the test's binary a server that
// takes note of SIGHUP and does nothing: it serves what it has loaded at its
// start.
const deafServer = "deaf-server"

func serveDeaf(address, dir string) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	generation, err := filepath.EvalSymlinks(filepath.Join(dir, "..data"))
	if err == nil {
		var pair tls.Certificate
		pair, err = tls.LoadX509KeyPair(filepath.Join(generation, "svid.pem"), filepath.Join(generation, "svid_key.pem"))
		server := http.Server{Addr: address, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
		if err == nil {
			go func() { fmt.Fprintln(os.Stderr, server.ListenAndServeTLS("", "")); os.Exit(1) }()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for s := range signals {
		if s == syscall.SIGTERM {
			return
		}
		fmt.Fprintln(os.Stderr, "deaf: pardon?")
	}
}

// TestDeafServer has a server ignore its reload signal: only a restart helps,
// and where that is not configured, /ready says so in time.
func TestDeafServer(t *testing.T) {
	t.Parallel()
	launch := func(t *testing.T, timeout time.Duration, onFailure string) *service {
		s := newService(t, "deaf")
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		s.launch(adaptText(t, fmt.Sprintf(`
output %q {
  x509_svid {}
}

process {
  command     = [%q, %q, %q, %q]
  env         = { GORACE = "atexit_sleep_ms=0" }
  on_rotation = "SIGHUP"

  proof {
    tls     = %q
    timeout = %q
    %s
  }
}
`, s.tls, self, deafServer, s.address, s.tls, s.address, timeout, onFailure), s.dir, "helper.conf"))
		first := s.api.SVIDs()[0].Certificates[0].SerialNumber
		s.events.await(t, s.helper, "proof of the first certificate", proven(first))
		return s
	}

	t.Run("a restart helps", func(t *testing.T) {
		t.Parallel()
		unhurried(t, time.Second, func(timeout time.Duration) error {
			s := launch(t, timeout, `on_failure = ["signal", "restart"]`)
			defer s.stop(0)
			if err := s.undisturbed(); err != nil {
				return err
			}
			before, began := s.helper.children(), time.Now()
			serial := rotate(t, s.api)
			s.events.await(t, s.helper, "proof after a restart", proven(serial))
			took := time.Since(began)
			t.Logf("escalated and proven %v after the rotation", took.Round(time.Millisecond))
			if took < 2*timeout {
				t.Errorf("restarted after %v, before the proof and the second signal had their time", took)
			}
			if now := s.helper.children(); len(now) != 1 || now[0] == before[0] {
				t.Errorf("svidhelper's children were %v and are %v", before, now)
			}
			if status, body := s.get("/ready"); status != http.StatusOK {
				t.Errorf("/ready: %d %s", status, body)
			}
			if heard := strings.Count(s.helper.out.String(), "pardon?"); heard != 2 {
				return fmt.Errorf("the server heard SIGHUP %d times, not for the rotation and for the escalation", heard)
			}
			return nil
		})
	})

	t.Run("nothing is configured", func(t *testing.T) {
		t.Parallel()
		unhurried(t, time.Second, func(timeout time.Duration) error {
			s := launch(t, timeout, "")
			defer s.stop(0)
			if err := s.undisturbed(); err != nil {
				return err
			}
			served := snapshot.Serial(s.api.SVIDs()[0].Certificates[0].SerialNumber)
			want := snapshot.Serial(rotate(t, s.api))
			// A process that has just started gets a moment for its handlers; the
			// proof begins when it was told.
			s.events.await(t, s.helper, "signal", func(e event) bool { return e.Event == "notified" && e.Rotations == 2 })
			began := time.Now()
			e := s.events.await(t, s.helper, "failed proof", failedProof)
			took := time.Since(began)
			if e.Want != want {
				t.Errorf("the event says that %s should be served, not %s", e.Want, want)
			}
			status, body := s.get("/ready")
			t.Logf("/ready %v after the signal: %d", took.Round(time.Millisecond), status)
			if status != http.StatusServiceUnavailable || !strings.Contains(body, want) {
				t.Errorf("/ready does not say 503 and what should be served: %d %s", status, body)
			}
			switch {
			case took > 2*timeout:
				return fmt.Errorf("not ready %v after the signal; %v is configured", took, timeout)
			case e.Serial != served || !strings.Contains(body, served):
				return fmt.Errorf("%s is served; the event says %s, /ready %s", served, e.Serial, body)
			}
			return nil
		})
	})
}
