//go:build linux && services

package examples_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
)

// dnsQuery asks for the address of localhost, over a stream, and reads the answer, which
// must have one and no error.
func dnsQuery(conn *tls.Conn) error {
	const question = "\x09localhost\x00\x00\x01\x00\x01"
	if _, err := io.WriteString(conn, "\x00\x1b\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"+question); err != nil {
		return err
	}
	size := make([]byte, 2)
	if _, err := io.ReadFull(conn, size); err != nil {
		return err
	}
	answer := make([]byte, binary.BigEndian.Uint16(size))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if len(answer) < 12 || answer[3]&0xf != 0 || answer[7] == 0 {
		return fmt.Errorf("the server answers %x", answer)
	}
	return nil
}

// TestServiceUnbound runs the example: 30 rotations, at each of which it is restarted,
// while clients connect.
func TestServiceUnbound(t *testing.T) {
	t.Parallel()
	need(t, "unbound")
	s := newService(t, "unbound")
	host, port, _ := net.SplitHostPort(s.address)
	site := s.adapt("unbound/svidhelper.conf",
		"0.0.0.0@853", host+"@"+port+"\n  tls-port: "+port,
		"/run/unbound/tls", s.tls)
	conf := adaptText(t, fmt.Sprintf("server:\n  directory: %q\n  chroot: \"\"\n  do-daemonize: no\n  use-syslog: no\n  username: \"\"\n  do-udp: no\n  val-permissive-mode: yes\n  module-config: \"iterator\"\ninclude: %q\n", s.dir, site), s.dir, "unbound.conf")
	adapted := []string{
		`["unbound", "-d", "-p"]`, fmt.Sprintf(`["unbound", "-d", "-p", "-c", %q]`, conf),
		"127.0.0.1:853", s.address,
		"/run/unbound/tls", s.tls,
	}
	config := withoutCertificate(s.clientTLS())
	clients := func() *client {
		c := newClient("TLS connections", talkDial(s.address, config, nil, dnsQuery))
		c.drops = dropped
		return c
	}
	s.restartByHand(s.conf("unbound/helper.conf", adapted...), clients(), "unbound", "-d", "-p", "-c", conf)
	s.start("unbound/helper.conf", adapted...)
	s.rotate(rotations, s.fate(holdTLS(s.address, config, dnsQuery, dnsQuery)), clients())
	s.stop(0)
	runReadme(t, "unbound", "unbound", "kdig")
}

// TestServiceBind9 runs the example: 30 rotations while clients connect with mutual TLS,
// and a connection that lasts throughout.
func TestServiceBind9(t *testing.T) {
	t.Parallel()
	need(t, "named")
	s := newService(t, "bind9")
	_, port, _ := net.SplitHostPort(s.address)
	work, user := s.owned("work", "bind"), ""
	if os.Getuid() == 0 {
		user = `, "-u", "bind"`
	}
	svid := s.adapt("bind9/svidhelper.conf", "/run/named/tls", s.tls)
	listen := s.adapt("bind9/options.conf", "port 853", "port "+port, "any;", "127.0.0.1;")
	_, control, _ := net.SplitHostPort(freeAddress(t))
	key := adaptText(t, "key rndc { algorithm hmac-sha256; secret \"c3ZpZGhlbHBlcg==\"; };\n", s.dir, "rndc.key")
	conf := adaptText(t, fmt.Sprintf("include %q;\noptions {\n directory %q;\n pid-file none;\n recursion no;\n listen-on-v6 { none; };\n include %q;\n};\n", svid, work, listen)+
		fmt.Sprintf("include %q;\ncontrols { inet 127.0.0.1 port %s allow { any; } keys { rndc; }; };\n", key, control)+
		"zone \"localhost\" { type primary; file \"/etc/bind/db.local\"; };\n", s.dir, "named.conf")
	s.start("bind9/helper.conf",
		`["rndc", "reconfig"]`, fmt.Sprintf(`["rndc", "-k", %q, "-p", %q, "reconfig"]`, key, control),
		`"-f", "-u", "bind"]`, fmt.Sprintf(`"-g", "-c", %q%s]`, conf, user),
		"127.0.0.1:853", s.address,
		"/run/named/tls", s.tls)

	clients := s.clientTLS()
	s.byHand(command("rndc", "-k", key, "-p", control, "reconfig"), newClient("TLS connections", talkDial(s.address, clients, nil, dnsQuery)))
	s.rotate(rotations,
		s.fate(holdTLS(s.address, clients, dnsQuery, dnsQuery)),
		newClient("TLS connections", talkDial(s.address, clients, nil, dnsQuery)))
	s.trustsNewAuthority(nil, dnsQuery)
	s.stop(0)
	runReadme(t, "bind9", "named", "dig")
}
