//go:build linux && services

package examples_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

// TestServiceNATS runs the example: 30 rotations while clients connect with mutual TLS,
// then a new authority.
func TestServiceNATS(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "nats", "nats-server") })
	need(t, "nats-server")
	s := newService(t, "nats")
	conf := s.adapt("nats/nats-server.conf",
		"127.0.0.1:4222", s.address,
		"/run/nats/tls", s.tls)
	s.start("nats/helper.conf",
		"/etc/nats-server.conf", conf,
		"127.0.0.1:4222", s.address,
		"/run/nats/tls", s.tls)

	hello := ask("CONNECT {\"verbose\":false}\r\nPING\r\n", "PONG\r\n")
	config := s.clientTLS()
	s.byHand(s.signal(syscall.SIGHUP), newClient("TLS connections", talkDial(s.address, config, natsInfo, hello)))
	s.rotate(rotations,
		holdStartTLS(s.address, config, natsInfo, hello, natsPing),
		newClient("TLS connections", talkDial(s.address, config, natsInfo, hello)))

	s.trustsNewAuthority(natsInfo, hello)
	s.refusesStranger(natsInfo, hello)
	s.stop(0)
}

// natsInfo reads the line that a server of NATS begins with; TLS follows it.
func natsInfo(conn net.Conn) error {
	line, err := readLine(conn)
	if err == nil && !strings.HasPrefix(line, "INFO ") {
		err = fmt.Errorf("the server says %q", line)
	}
	return err
}

// natsPing asks a server that may have asked by itself before.
func natsPing(conn *tls.Conn) error {
	_, err := io.WriteString(conn, "PING\r\n")
	for line := ""; err == nil && line != "PONG"; {
		line, err = readLine(conn)
	}
	return err
}
