//go:build linux && services

package examples_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"
)

// TestServiceLighttpd runs the example: 30 rotations while clients connect with mutual
// TLS.
func TestServiceLighttpd(t *testing.T) {
	t.Parallel()
	need(t, "lighttpd")
	s := newService(t, "lighttpd")
	pages := s.owned("html", "www-data")
	adaptText(t, "hello\n", pages, "index.html")
	site := s.adapt("lighttpd/svidhelper.conf",
		"0.0.0.0:443", s.address,
		"/run/lighttpd/tls", s.tls)
	host, port, _ := net.SplitHostPort(s.address)
	conf := adaptText(t, fmt.Sprintf(`server.document-root = %q
server.bind = %q
server.port = %s
server.username = "www-data"
server.groupname = "www-data"
index-file.names = ( "index.html" )
include %q
`, pages, host, port, site), s.dir, "lighttpd.conf")
	s.start("lighttpd/helper.conf",
		"/etc/lighttpd/lighttpd.conf", conf,
		"127.0.0.1:443", s.address,
		"/run/lighttpd/tls", s.tls)

	tls := s.clientTLS()
	idle := ask("HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 341\r\n")
	s.byHand(s.signal(syscall.SIGUSR1), newClient("TLS connections", talkDial(s.address, tls, nil, get)))
	s.rotate(rotations,
		s.fate(holdTLS(s.address, tls, idle, idle)), // a request under way would hold the reload up
		newClient("TLS connections", talkDial(s.address, tls, nil, get)))
	s.trustsNewAuthority(nil, get)
	s.stop(0)
	runReadme(t, "lighttpd", "lighttpd", "curl")
}
