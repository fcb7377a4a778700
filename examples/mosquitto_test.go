//go:build linux

package examples_test

import (
	"net"
	"path/filepath"
	"testing"
)

// TestMosquitto runs the example: 30 rotations while clients connect with
// mutual TLS, then a new authority.
func TestMosquitto(t *testing.T) {
	t.Parallel()
	need(t, "mosquitto")
	pub := need(t, "mosquitto_pub")
	s := newService(t, "mosquitto")
	pid := filepath.Join(s.owned("run", "mosquitto"), "mosquitto.pid")
	_, port, _ := net.SplitHostPort(s.address)
	conf := s.adapt("mosquitto/mosquitto.conf",
		"8883", port,
		"/run/mosquitto/mosquitto.pid", pid,
		"/run/mosquitto/tls", s.tls)
	s.start("mosquitto/helper.conf",
		"/etc/mosquitto/mosquitto.conf", conf,
		"127.0.0.1:8883", s.address,
		"/run/mosquitto/mosquitto.pid", pid,
		"/run/mosquitto/tls", s.tls)

	// MQTT 3.1.1, 3.1 and 3.12: CONNECT, a clean session and no name; PINGREQ.
	hello := ask("\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", "\x20\x02\x00\x00")
	ping := ask("\xc0\x00", "\xd0\x00")
	tls := s.clientTLS()
	cert, key, bundle := s.clientFiles()
	s.rotate(rotations,
		holdTLS(s.address, tls, all(hello, ping), ping),
		newClient("TLS connections", talkDial(s.address, tls, nil, hello)),
		s.ownClient("mosquitto_pub", "", pub, "-h", "localhost", "-p", port, "--cafile", bundle, "--cert", cert, "--key", key, "-t", "x", "-m", "y"))

	s.trustsNewAuthority(nil, hello)
	s.stop(0)
}
