//go:build linux && services

package examples_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

// TestServiceProsody runs the example: 30 rotations while clients open streams with mutual
// TLS and log in, then a new authority.
func TestServiceProsody(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "prosody", "prosody", "openssl") })
	need(t, "prosody")
	s := newService(t, "prosody")
	_, port, _ := net.SplitHostPort(s.address)
	host := s.adapt("prosody/localhost.cfg.lua", "/run/prosody-tls", s.tls)
	data := s.owned("data", "prosody")
	conf := adaptText(t, fmt.Sprintf(`
pidfile = "%[1]s/pid"
data_path = "%[1]s"
log = "*console"
modules_enabled = { "tls", "saslauth", "ping", "posix" }
modules_disabled = { "s2s" }
authentication = "anonymous"
c2s_interfaces = { "127.0.0.1" }
c2s_ports = { %[2]s }
Include "%[3]s"
`, data, port, host), s.dir, "prosody.cfg.lua")
	s.start("prosody/helper.conf",
		`["prosody", "-F"]`, `["prosody", "-F", "--config", "`+conf+`"]`,
		"127.0.0.1:5222", s.address,
		"/run/prosody-tls", s.tls)

	const stream = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>"
	startTLS := func(conn net.Conn) error {
		if err := converse(conn, stream, "</stream:features>"); err != nil {
			return err
		}
		return converse(conn, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	}
	talks := func(saidHeard ...string) talk {
		return func(conn *tls.Conn) error {
			for i := 0; i < len(saidHeard); i += 2 {
				if err := converse(conn, saidHeard[i], saidHeard[i+1]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	login := talks(
		stream, "</stream:features>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
		stream, "</stream:features>",
		"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
	ping := talks("<iq type='get' id='2' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "type='result'")
	config := s.clientTLS()
	s.byHand(s.signal(syscall.SIGHUP), newClient("TLS connections", talkDial(s.address, config, startTLS, login)))
	s.rotate(rotations,
		holdStartTLS(s.address, config, startTLS, login, ping),
		newClient("TLS connections", talkDial(s.address, config, startTLS, login)))

	s.trustsNewAuthority(startTLS, login)
	s.refusesStranger(startTLS, login)
	s.stop(0)
}

// converse says something and reads until the answer holds what is expected.
func converse(conn net.Conn, said, heard string) error {
	if _, err := io.WriteString(conn, said); err != nil {
		return err
	}
	var answer []byte
	for b := make([]byte, 1); !strings.Contains(string(answer), heard); answer = append(answer, b[0]) {
		if _, err := io.ReadFull(conn, b); err != nil {
			return fmt.Errorf("%q is answered with %q: %w", said, answer, err)
		}
	}
	return nil
}
