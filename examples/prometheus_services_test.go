//go:build linux && services

package examples_test

import (
	"strings"
	"testing"
)

// betweenTwoFiles tells the refusal of a connection for which Prometheus has read the old
// certificate and the new key.
func betweenTwoFiles(err error) bool { return strings.Contains(err.Error(), "tls: internal error") }

// TestServicePrometheus runs the example: 30 rotations while clients connect with mutual
// TLS, and a connection that lasts throughout.
func TestServicePrometheus(t *testing.T) {
	t.Parallel()
	need(t, "prometheus")
	s := newService(t, "prometheus")
	data := s.owned("data", "prometheus")
	web := s.adapt("prometheus/web.yml", "/run/prometheus/tls", s.tls)
	s.start("prometheus/helper.conf",
		"--config.file=/etc/prometheus/prometheus.yml", "--web.listen-address="+s.address+`", "--config.file=`+adaptText(t, "", s.dir, "prometheus.yml"),
		"/var/lib/prometheus/metrics2", data,
		"/etc/prometheus/web.yml", web,
		"127.0.0.1:9090", s.address,
		"/run/prometheus/tls", s.tls)

	tls := s.clientTLS()
	ready := ask("GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\n")
	s.rotate(rotations,
		holdTLS(s.address, tls, halves[0], ask("\r\n", "HTTP/1.1 ")),
		dropping(newClient("TLS connections", talkDial(s.address, tls, nil, ready)), betweenTwoFiles))
	s.trustsNewAuthority(nil, ready)
	s.stop(0)
	runReadme(t, "prometheus", "prometheus", "curl")
}
