//go:build linux && services

package examples_test

import (
	"net"
	"path/filepath"
	"testing"
)

// TestServiceEtcd runs the example: 30 rotations while clients, etcdctl among them,
// connect with mutual TLS, then a new authority, at which etcd is started anew.
func TestServiceEtcd(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "etcd", "etcd", "etcdctl") })
	need(t, "etcd")
	ctl := need(t, "etcdctl")
	s := newService(t, "etcd")
	_, port, _ := net.SplitHostPort(s.address)
	data := s.owned("data", "etcd")
	conf := s.adapt("etcd/etcd.conf.yml",
		"127.0.0.1:2379", s.address,
		"127.0.0.1:2380", freeAddress(t),
		"/var/lib/etcd/default", filepath.Join(data, "default"),
		"/run/etcd/tls", s.tls)
	s.start("etcd/helper.conf",
		"/etc/etcd/etcd.conf.yml", conf,
		"127.0.0.1:2379", s.address,
		"localhost:2379", "localhost:"+port,
		"/run/etcd/tls", s.tls)

	health := ask("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\n")
	tls := s.clientTLS()
	cert, key, bundle := s.clientFiles()
	s.rotate(rotations,
		holdTLS(s.address, tls, halves[0], ask("Connection: close\r\n\r\n", "HTTP/1.1 404 Not Found\r\n")),
		newClient("TLS connections", talkDial(s.address, tls, nil, health)),
		s.ownClient("etcdctl", "OK", ctl, "--endpoints", "https://localhost:"+port, "--cert", cert, "--key", key, "--cacert", bundle, "put", "a", "b"))

	s.trustsNewAuthority(nil, health)
	s.refusesStranger(nil, health)
	s.stop(143) // etcd ends by the signal
}
