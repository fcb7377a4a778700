//go:build linux

package examples_test

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRedis runs the example: 30 rotations while clients connect with mutual
// TLS.
func TestRedis(t *testing.T) {
	t.Parallel()
	need(t, "redis-server")
	cli := need(t, "redis-cli")
	s := newService(t, "redis")
	data := s.owned("data", "redis")
	socket := filepath.Join(data, "redis.sock")
	_, port, _ := net.SplitHostPort(s.address)
	conf := s.adapt("redis/redis.conf",
		"tls-port 6379", "tls-port "+port+"\ndir "+data+"\nsave \"\"",
		"/run/redis/tls", s.tls,
		"/run/redis/redis.sock", socket)
	s.start("redis/helper.conf",
		"/etc/redis/redis.conf", conf,
		"/run/redis/tls", s.tls,
		"/run/redis/redis.sock", socket,
		"127.0.0.1:6379", s.address)

	tls := s.clientTLS()
	cert, key, bundle := s.clientFiles()
	ping := ask("PING\r\n", "+PONG\r\n")
	s.rotate(rotations,
		holdTLS(s.address, tls, all(ask("SET before rotations\r\n", "+OK\r\n"), ping), ask("GET before\r\n", "$9\r\nrotations\r\n")),
		newClient("TLS connections", talkDial(s.address, tls, nil, ping)),
		s.ownClient("redis-cli", "PONG", cli, "-h", "localhost", "-p", port, "--tls", "--cert", cert, "--key", key, "--cacert", bundle, "ping"))

	// A pair that does not match is refused, and the old one stays.
	_, other, _ := s.clientFiles()
	mismatch := exec.Command(cli, "-e", "-s", socket, "CONFIG", "SET", "tls-cert-file", cert, "tls-key-file", other)
	if out, err := mismatch.CombinedOutput(); err == nil || !strings.Contains(string(out), "Unable to update TLS configuration") {
		t.Errorf("a pair that does not match: %v, %s", err, out)
	}
	if _, err := talkDial(s.address, tls, nil, ping)(deadline(t, patience)); err != nil {
		t.Errorf("after a pair that does not match: %v", err)
	}

	s.trustsNewAuthority(nil, ping)
	s.stop(0)
}
