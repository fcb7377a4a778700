package proof

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A turn is what a service hears, and what it answers.
type turn struct{ hears, says string }

// play plays the service's part.
func play(c net.Conn, turns []turn) error {
	for _, t := range turns {
		heard := make([]byte, len(t.hears))
		if _, err := io.ReadFull(c, heard); err != nil {
			return fmt.Errorf("hearing: %w", err)
		}
		if string(heard) != t.hears {
			return fmt.Errorf("heard %q, want %q", heard, t.hears)
		}
		if _, err := io.WriteString(c, t.says); err != nil {
			return err
		}
	}
	return nil
}

// mariadb is the greeting of MariaDB 10.11 on Debian 12 with TLS.
var mariadb = packet("\x0a5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x2a\x00\x00\x00" +
	"abcdefgh\x00\xfe\xff\x2d\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00" +
	"abcdefghijkl\x00mysql_native_password\x00")

// packet returns a first packet with that payload.
func packet(payload string) string { return string(rune(len(payload))) + "\x00\x00\x00" + payload }

// sslRequested is how a client asks for TLS: 32 bytes, the second packet.
var sslRequested = "\x20\x00\x00\x01" + string(sslRequest())

// loggedIn is nobody's login, the third packet.
var loggedIn = "\x48\x00\x00\x02" + string(sslRequest()) + "svidhelper-proof\x00\x00mysql_native_password\x00"

// A served is what one service says.
type served struct {
	name          string
	starttls      StartTLS
	before, after []turn
}

// services are what real ones of the distribution's packages say, and what
// they want to hear.
var services = []served{
	{"PostgreSQL", StartTLSPostgres, []turn{{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "S"}}, nil},
	{"MariaDB", StartTLSMySQL, []turn{{"", mariadb}, {sslRequested, ""}},
		[]turn{{loggedIn, "\x0b\x00\x00\x03\xff\x15\x04#28000no."}}},
	{"MySQL", StartTLSMySQL, []turn{{"", mariadb}, {sslRequested, ""}},
		[]turn{{loggedIn, "\x17\x00\x00\x03\xfecaching_sha2_password\x00"}, {"\x00\x00\x00\x04", "\x0b\x00\x00\x05\xff\x15\x04#28000no."}}},
	{"Postfix", StartTLSSMTP, []turn{
		{"", "220 x.test ESMTP Postfix (Debian/GNU)\r\n"},
		{"EHLO localhost\r\n", "250-x.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 CHUNKING\r\n"},
		{"STARTTLS\r\n", "220 2.0.0 Ready to start TLS\r\n"},
	}, []turn{{"QUIT\r\n", "221 2.0.0 Bye\r\n"}}},
	{"Dovecot", StartTLSIMAP, []turn{
		{"", "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] Dovecot (Debian) ready.\r\n"},
		{"s1 STARTTLS\r\n", "* CAPABILITY IMAP4rev1\r\ns1 OK Begin TLS negotiation now.\r\n"},
	}, []turn{{"s2 LOGOUT\r\n", "* BYE Logging out\r\ns2 OK Logout completed.\r\n"}}},
	{"Dovecot", StartTLSPOP3, []turn{
		{"", "+OK Dovecot (Debian) ready.\r\n"},
		{"STLS\r\n", "+OK Begin TLS negotiation now.\r\n"},
	}, []turn{{"QUIT\r\n", "+OK Logging out\r\n"}}},
	{"Pigeonhole", StartTLSSieve, []turn{
		{"", "\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n\"SASL\" \"\"\r\n\"STARTTLS\"\r\nOK \"Dovecot ready.\"\r\n"},
		{"STARTTLS\r\n", "OK \"Begin TLS negotiation now.\"\r\n"},
	}, []turn{{"", "\"SASL\" \"PLAIN\"\r\nOK \"TLS negotiation successful.\"\r\n"}, {"LOGOUT\r\n", "OK \"Logout completed.\"\r\n"}}},
	{"vsftpd", StartTLSFTP, []turn{
		{"", "220 (vsFTPd 3.0.3)\r\n"},
		{"AUTH TLS\r\n", "234 Proceed with negotiation.\r\n"},
	}, []turn{{"QUIT\r\n", "221 Goodbye.\r\n"}}},
	{"FTP with a banner", StartTLSFTP, []turn{
		{"", "220-Welcome\r\n 220 days a year\r\nto all\r\n220 ready\r\n"},
		{"AUTH TLS\r\n", "234 AUTH TLS successful\r\n"},
	}, []turn{{"QUIT\r\n", "221 Goodbye.\r\n"}}},
	{"NATS", StartTLSNATS, []turn{
		{"", `INFO {"server_id":"NB","version":"2.9.10","tls_required":true,"connect_urls":["` + strings.Repeat("x", 10_000) + "\"]} \r\n"},
	}, nil},
	{"Prosody", StartTLSXMPP, []turn{
		{xmppStream("jabber:client"), "<?xml version='1.0'?><stream:stream id='1' from='a&amp;b.test' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" +
			"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"},
		{startTLSElement, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
	}, nil},
	{"Prosody's servers", StartTLSXMPPServer, []turn{
		{xmppStream("jabber:server"), "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"},
		{startTLSElement, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
	}, nil},
	{"OpenLDAP", StartTLSLDAP, []turn{
		{string(startTLSRequest), "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"},
	}, []turn{{string(unbindRequest), ""}}},
	{"Active Directory", StartTLSLDAP, []turn{
		{string(startTLSRequest), "\x30\x84\x00\x00\x00\x28\x02\x01\x01\x78\x84\x00\x00\x00\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20037"},
	}, []turn{{string(unbindRequest), ""}}},
}

// xmppStream is how a client begins.
func xmppStream(namespace string) string {
	return "<?xml version='1.0'?><stream:stream to='a&amp;b.test' version='1.0' xmlns='" + namespace + "' xmlns:stream='http://etherx.jabber.org/streams'>"
}

func TestStartTLS(t *testing.T) {
	cert := issue(t, 7)
	for _, c := range services {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "tcp", "127.0.0.1:0", cert, func(s *service) {
				s.before = func(conn net.Conn) error { return play(conn, c.before) }
				s.after = func(conn net.Conn) error {
					if err := play(conn, c.after); err != nil {
						return err
					}
					_, err := conn.Read(make([]byte, 1))
					return err
				}
			})
			began := time.Now()
			r, err := prover(t, Config{TLS: s.address(), StartTLS: c.starttls, ServerName: "a&b.test"}).Prove(t.Context(), wanted(cert))
			if err != nil || r.Attempts != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			s.sawGoodbye(t, c.name)
			t.Logf("proven after %v, goodbye after %v", r.Latency, time.Since(began))
		})
	}
}

// Whatever a service says, nothing panics, and every answer that is cut short is
// an error.
func FuzzStartTLS(f *testing.F) {
	for _, c := range services {
		var said []byte
		for _, turn := range c.before {
			said = append(said, turn.says...)
		}
		f.Add(said)
	}
	var all []StartTLS
	for starttls, protocol := range protocols {
		if protocol.upgrade != nil {
			all = append(all, starttls)
		}
	}
	slices.Sort(all)
	f.Fuzz(func(t *testing.T, said []byte) {
		for _, starttls := range all {
			protocol := protocols[starttls]
			whole := bufio.NewReader(bytes.NewReader(said))
			err := protocol.upgrade(whole, io.Discard, "a.test")
			if err == nil && len(said) == 0 {
				t.Errorf("%s: silence is accepted", starttls)
			}
			// it makes no difference in which pieces the bytes arrive
			pieces := protocol.upgrade(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(said))), io.Discard, "a.test")
			if (err == nil) != (pieces == nil) {
				t.Errorf("%s: %v at once, %v in pieces", starttls, err, pieces)
			}
			broken := iotest.DataErrReader(io.MultiReader(bytes.NewReader(said), iotest.ErrReader(os.ErrDeadlineExceeded)))
			protocol.upgrade(bufio.NewReader(broken), io.Discard, "a.test")
			if protocol.goodbye != nil {
				protocol.goodbye(bufio.NewReader(bytes.NewReader(said)), io.Discard)
			}
		}
	})
}
