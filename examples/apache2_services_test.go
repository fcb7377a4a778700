//go:build linux && services

package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestServiceApache2 runs the example: 30 rotations while clients connect with mutual
// TLS, and a request that lasts throughout.
func TestServiceApache2(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	s := newService(t, "apache2")
	pages := s.owned("html", "www-data")
	adaptText(t, "hello\n", pages, "index.html")
	site := s.adapt("apache2/svidhelper.conf",
		"*:443", s.address,
		"/var/www/html", pages,
		"/run/apache2/tls", s.tls)
	user := ""
	if os.Getuid() == 0 {
		user = "User www-data\nGroup www-data\n"
	}
	conf := adaptText(t, fmt.Sprintf(`ServerRoot %[1]s
ServerName localhost
PidFile %[1]s/apache2.pid
DefaultRuntimeDir %[1]s
ErrorLog /dev/stderr
%[2]sLoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
Listen %[3]s
Include %[4]s
`, s.dir, user, s.address, site), s.dir, "apache2.conf")
	s.start("apache2/helper.conf",
		`["apache2", `, fmt.Sprintf(`["apache2", "-f", %q, `, conf),
		"127.0.0.1:443", s.address,
		"/run/apache2/tls", s.tls)

	tls := s.clientTLS()
	s.byHand(s.signal(syscall.SIGUSR1), newClient("TLS connections", talkDial(s.address, tls, nil, get)))
	s.rotate(rotations,
		holdTLS(s.address, tls, halves[0], halves[1]),
		newClient("TLS connections", talkDial(s.address, tls, nil, get)))
	s.trustsNewAuthority(nil, get)
	s.stop(0)
	if _, err := os.Stat(filepath.Join(s.dir, "apache2.pid")); err == nil {
		t.Error("httpd was killed: its pid file is still there")
	}
	runReadme(t, "apache2", "apache2", "curl")
}
