//go:build linux

package examples_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHAProxy runs both examples: 30 rotations each while clients connect with
// mutual TLS, and a request that lasts throughout.
func TestHAProxy(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	need(t, "socat")
	update, err := filepath.Abs("haproxy/haproxy-update")
	if err != nil {
		t.Fatal(err)
	}

	t.Run("helper.conf", func(t *testing.T) {
		s := newService(t, "haproxy")
		// HAProxy loses signals when rotations follow each other closely. The
		// proof's answer to that is the example's, only sooner, and it is never
		// a restart: a busy machine is no reason.
		s.startHAProxy("haproxy/helper.conf",
			`timeout    = "5s"`, `timeout    = "1s"`,
			`["signal", "signal", "restart"]`, "["+strings.Repeat(`"signal", `, 20)+"]")
		s.rotateHAProxy()
	})

	t.Run("helper-runtime.conf", func(t *testing.T) {
		s := newService(t, "haproxy")
		s.startHAProxy("haproxy/helper-runtime.conf",
			"/etc/svidhelper/haproxy-update", update,
			"/run/haproxy/admin.sock", filepath.Join(s.dir, "admin.sock"))
		s.rotateHAProxy()
	})
}

func (s *service) startHAProxy(example string, oldnew ...string) {
	s.t.Helper()
	conf := s.adapt("haproxy/haproxy.cfg", append(forRoot("  user  haproxy\n", "  group haproxy\n"),
		"timeout client  30s", "timeout client  10m", // the request that lasts
		"127.0.0.1:8443", s.address,
		"/run/haproxy/admin.sock", filepath.Join(s.dir, "admin.sock"),
		"/run/haproxy/tls", s.tls)...)
	s.start(example, append(oldnew,
		"/etc/haproxy/haproxy.cfg", conf,
		"127.0.0.1:8443", s.address,
		"/run/haproxy/tls", s.tls)...)
}

func (s *service) rotateHAProxy() {
	s.t.Helper()
	tls := s.clientTLS()
	s.rotate(rotations,
		holdTLS(s.address, tls, halves[0], halves[1]),
		newClient("TLS connections", talkDial(s.address, tls, nil, get)))
	s.trustsNewAuthority(nil, get)

	// What happens to SIGUSR2 at the end of a reload happens to SIGUSR1 too.
	// stop_timeout would end it; we ask again.
	for again := true; again; {
		if err := s.helper.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.t.Fatal(err)
		}
		select {
		case <-s.helper.done:
			again = false
		case <-time.After(time.Second):
		}
	}
	s.ended(0)
}
