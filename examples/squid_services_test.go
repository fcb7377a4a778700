//go:build linux && services

package examples_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestServiceSquid runs the example: 30 rotations while clients connect through it with
// mutual TLS, and a connection that lasts throughout.
func TestServiceSquid(t *testing.T) {
	t.Parallel()
	need(t, "squid")
	s := newService(t, "squid")
	work := s.owned("work", "proxy")
	site := s.adapt("squid/svidhelper.conf",
		"0.0.0.0:3129", s.address,
		"lifetime 10 seconds", "lifetime 1 seconds",
		"/run/squid/tls", s.tls)
	conf := adaptText(t, fmt.Sprintf(`http_access allow all
cache_log %[1]s/cache.log
access_log none
coredump_dir %[1]s
pid_filename %[1]s/squid.pid
pinger_enable off
netdb_filename none
include %[2]s
`, work, site), s.dir, "squid.conf")
	s.start("squid/helper.conf",
		`"-sYC"]`, fmt.Sprintf(`"-YC", "-n", "svid%d", "-f", %q]`, time.Now().UnixNano(), conf),
		"127.0.0.1:3129", s.address,
		"/run/squid/tls", s.tls)

	config := s.clientTLS()
	tunnel := all(ask("CONNECT "+serveEcho(t)+" HTTP/1.1\r\n\r\n", "HTTP/1.1 200 Connection established\r\n\r\n"), echo)
	clients := func() *client {
		c := newClient("TLS connections", talkDial(s.address, config, nil, tunnel))
		c.drops = dropped // Squid closes its listening socket
		return c
	}
	s.byHand(s.signal(syscall.SIGHUP), clients())
	awaitListener(t, clients().dial, s.helper)
	s.rotate(rotations, s.fate(holdTLS(s.address, config, tunnel, echo)), clients())
	s.trustsNewAuthority(nil, tunnel)
	s.stop(0)
	runReadme(t, "squid", "squid", "curl")
}
