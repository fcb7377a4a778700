//go:build linux && services

package examples_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestServiceTomcat10 runs the example, whose Tomcat looks every second here: 30
// rotations while clients connect with mutual TLS, and a connection that lasts
// throughout.
func TestServiceTomcat10(t *testing.T) {
	t.Parallel()
	need(t, "java")
	catalina := need(t, "/usr/share/tomcat10/bin/catalina.sh")
	s := newService(t, "tomcat10")
	base := s.owned("base", "tomcat")
	for _, dir := range []string{"conf", "webapps", "webapps/ROOT", "logs", "work"} {
		s.owned(filepath.Join("base", dir), "tomcat")
	}
	host, port, _ := net.SplitHostPort(s.address)
	b, err := os.ReadFile(s.adapt("tomcat10/server.xml",
		`checkPeriod="10"`, `checkPeriod="1"`,
		`<Server port="-1"`, `<Server port="-1" periodicEventDelay="1"`,
		`port="8443"`, `port="`+port+`" address="`+host+`" connectionTimeout="600000"`,
		"/run/tomcat10/tls", s.tls))
	if err != nil {
		t.Fatal(err)
	}
	adaptText(t, string(b), filepath.Join(base, "conf"), "server.xml")
	s.start("tomcat10/helper.conf",
		"/usr/share/tomcat10/bin/catalina.sh", catalina,
		"/var/lib/tomcat10", base,
		"127.0.0.1:8443", s.address,
		"/run/tomcat10/tls", s.tls)

	config := s.clientTLS()
	missing := ask("GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 ")
	s.rotate(rotations,
		holdTLS(s.address, config, halves[0], ask("\r\n", "HTTP/1.1 404 ")),
		newClient("TLS connections", talkDial(s.address, config, nil, missing)))
	s.trustsNewAuthority(nil, missing)
	s.stop(143)
	runReadme(t, "tomcat10", "java", "/usr/share/tomcat10/bin/catalina.sh", "curl")
}
