//go:build linux && services

package examples_test

import (
	"net"
	"syscall"
	"testing"
)

// TestServiceHitch runs the example: 30 rotations while clients connect with mutual
// TLS, and a connection that lasts throughout.
func TestServiceHitch(t *testing.T) {
	t.Parallel()
	need(t, "hitch")
	s := newService(t, "hitch")
	bracketed := func(address string) string {
		host, port, _ := net.SplitHostPort(address)
		return "[" + host + "]:" + port
	}
	conf := s.adapt("hitch/hitch.conf",
		"[*]:443", bracketed(s.address),
		"[127.0.0.1]:8080", bracketed(serveEcho(t)),
		"/run/hitch/tls", s.tls)
	s.start("hitch/helper.conf",
		"/etc/hitch/hitch.conf", conf,
		"127.0.0.1:443", s.address,
		"/run/hitch/tls", s.tls)

	tls := s.clientTLS()
	clients := func() *client {
		c := newClient("TLS connections", talkDial(s.address, tls, nil, echo))
		c.drops = dropped // each worker has a listening socket of its own, and its queue ends with it
		return c
	}
	s.byHand(s.signal(syscall.SIGHUP), clients())
	s.rotate(rotations, s.fate(holdTLS(s.address, tls, echo, echo)), clients())
	s.trustsNewAuthority(nil, echo)
	s.stop(0)
	runReadme(t, "hitch", "hitch", "socat", "curl")
}
