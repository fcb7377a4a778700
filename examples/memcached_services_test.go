//go:build linux && services

package examples_test

import (
	"testing"
)

// TestServiceMemcached runs the example: 30 rotations while clients connect with mutual
// TLS, then a new authority. What is in the cache stays there.
func TestServiceMemcached(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "memcached", "memcached", "socat", "openssl") })
	need(t, "memcached")
	need(t, "socat")
	s := newService(t, "memcached")
	s.start("memcached/helper.conf",
		"127.0.0.1:11211", s.address,
		"127.0.0.1:11212", freeAddress(t),
		"/run/memcached/tls", s.tls)

	version := ask("mn\r\n", "MN\r\n")
	tls := s.clientTLS()
	s.rotate(rotations,
		holdTLS(s.address, tls, ask("set before 0 0 9\r\nrotations\r\n", "STORED\r\n"), ask("get before\r\n", "VALUE before 0 9\r\nrotations\r\nEND\r\n")),
		newClient("TLS connections", talkDial(s.address, tls, nil, version)))

	s.trustsNewAuthority(nil, version)
	s.refusesStranger(nil, version)
	s.stop(0)
}
