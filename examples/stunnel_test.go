//go:build linux

package examples_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

var echo = ask("hello\n", "hello\n")

// TestStunnel runs both examples, and shows what the same reload does by hand.
func TestStunnel(t *testing.T) {
	t.Parallel()
	stunnel := need(t, "stunnel4")
	backend := serveEcho(t)

	// A connection that arrives while the listening socket is closed is refused,
	// and one that waits in its queue is reset. That is stunnel's doing.
	t.Run("reload by hand", func(t *testing.T) {
		s := newService(t, "stunnel")
		fetch := exec.Command(svidhelper, "fetch", "-config", s.conf("stunnel/helper.conf", s.stunnelExample("")...), "--", "true")
		fetch.Env = append(fetch.Environ(), "SPIFFE_ENDPOINT_SOCKET="+s.api.Addr())
		if out, err := fetch.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		byHand := start(t, exec.Command(stunnel, s.stunnelConf(backend)))
		c := newClient("TLS connections", talkDial(s.address, s.clientTLS(), nil, echo))
		awaitListener(t, c.dial, byHand)
		c.drops = refusedOrReset
		ctx, stop := context.WithCancel(deadline(t, 5*time.Minute))
		done := make(chan struct{})
		go func() { c.run(ctx, 2); close(done) }()
		if dropped := c.more(t, 50); dropped > 0 {
			t.Fatalf("%d connections dropped before any reload", dropped)
		}
		reloads := 0
		for dropped := 0; dropped == 0 && reloads < 1000; reloads++ {
			if err := byHand.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			dropped = c.more(t, 2)
		}
		stop()
		<-done
		t.Logf("%d reloads by hand: %d connections, %d dropped", reloads, c.dials, c.dropped)
		if c.dropped == 0 {
			t.Error("stunnel drops nobody: say so in its README, and allow no drops below")
		}
		byHand.stop(syscall.SIGTERM)
	})

	t.Run("helper.conf", func(t *testing.T) {
		s := newService(t, "stunnel")
		s.start("stunnel/helper.conf", s.stunnelExample(s.stunnelConf(backend))...)
		c := newClient("TLS connections", talkDial(s.address, s.clientTLS(), nil, echo))
		c.drops = refusedOrReset
		s.rotateStunnel(c)
	})

	t.Run("helper-socket.conf", func(t *testing.T) {
		s := newService(t, "stunnel")
		s.listener = s.listen()
		s.start("stunnel/helper-socket.conf", s.stunnelExample(s.stunnelConf(backend))...)
		c := newClient("TLS connections", talkDial(s.address, s.clientTLS(), nil, echo))
		s.rotateStunnel(c)
	})
}

func (s *service) rotateStunnel(c *client) {
	s.t.Helper()
	s.rotate(rotations, holdTLS(s.address, s.clientTLS(), echo, echo), c)
	s.trustsNewAuthority(nil, echo)
	s.stop(0)
}

// stunnelConf writes stunnel's configuration.
func (s *service) stunnelConf(backend string) string {
	s.t.Helper()
	return s.adapt("stunnel/stunnel.conf",
		"127.0.0.1:8443", s.address,
		"127.0.0.1:8080", backend,
		"/run/stunnel4/tls", s.tls)
}

// stunnelExample is what is replaced in svidhelper's.
func (s *service) stunnelExample(conf string) []string {
	return []string{
		"/etc/stunnel/stunnel.conf", conf,
		"127.0.0.1:8443", s.address,
		"/run/stunnel4/tls", s.tls,
	}
}

// refusedOrReset tells what happens to connections that nobody has accepted.
func refusedOrReset(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// listen opens the service's address, as systemd would.
func (s *service) listen() *os.File {
	s.t.Helper()
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	return f
}

// serveEcho is the service behind stunnel.
func serveEcho(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			go func() { defer conn.Close(); io.Copy(conn, conn) }()
		}
	}()
	return l.Addr().String()
}
