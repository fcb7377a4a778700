//go:build linux && services

package examples_test

import (
	"net"
	"syscall"
	"testing"
)

// TestServiceCoturn runs the example: 30 rotations while clients connect, and a
// connection that lasts throughout.
func TestServiceCoturn(t *testing.T) {
	t.Parallel()
	need(t, "turnserver")
	s := newService(t, "coturn")
	work := s.owned("work", "turnserver")
	_, port, _ := net.SplitHostPort(s.address)
	_, plain, _ := net.SplitHostPort(freeAddress(t))
	_, admin, _ := net.SplitHostPort(freeAddress(t))
	conf := s.adapt("coturn/turnserver.conf",
		"5349", port+"\nlistening-port="+plain+"\nallow-loopback-peers\nno-udp\nno-dtls\nno-rfc5780\ncli-port="+admin+
			"\nno-cli\nlog-file=stdout\nuserdb="+work+"/turndb",
		"/run/coturn/tls", s.tls)
	s.start("coturn/helper.conf",
		"/etc/turnserver.conf", conf,
		"127.0.0.1:5349", s.address,
		"/run/coturn/tls", s.tls)

	config := withoutCertificate(s.clientTLS())
	// A binding request of STUN: type, length, cookie and a transaction's number.
	binding := ask("\x00\x01\x00\x00\x21\x12\xa4\x42svidhelper15", "\x01\x01")
	s.byHand(s.signal(syscall.SIGUSR2), newClient("TLS connections", talkDial(s.address, config, nil, binding)))
	s.rotate(rotations,
		s.fate(holdTLS(s.address, config, ask("", ""), binding)),
		newClient("TLS connections", talkDial(s.address, config, nil, binding)))
	s.stop(143) // it has no handler for SIGTERM
	runReadme(t, "coturn", "turnserver", "openssl")
}
