package proof

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// refusals are what services say that do not do TLS.
func TestStartTLSRefused(t *testing.T) {
	for _, c := range []struct {
		name     string
		starttls StartTLS
		turns    []turn
		says     string
	}{
		{"postgres ssl off", StartTLSPostgres, []turn{{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "N"}}, "ssl = on"},
		{"not postgres", StartTLSPostgres, []turn{{"", "HTTP/1.1 400"}}, "is it PostgreSQL"},
		{"mysql without TLS", StartTLSMySQL, []turn{{"", strings.Replace(mariadb, "\xfe\xff", "\xfe\xf7", 1)}}, "ssl_cert"},
		{"mysql has blocked us", StartTLSMySQL, []turn{{"", "\x12\x00\x00\x00\xff\x69\x04Host is blocked"}}, "Host is blocked"},
		{"not mysql", StartTLSMySQL, []turn{{"", "SSH-2.0-OpenSSH_9.2\r\n"}}, "MySQL"},
		{"old mysql", StartTLSMySQL, []turn{{"", "\x03\x00\x00\x00\x095\x00"}}, "version 9"},
		{"smtp without TLS", StartTLSSMTP, []turn{{"", "220 x\r\n"}, {"EHLO localhost\r\n", "250 x\r\n"}, {"STARTTLS\r\n", "502 5.5.1 no\r\n"}}, "502 5.5.1 no"},
		{"smtp is full", StartTLSSMTP, []turn{{"", "421 too many connections\r\n"}}, "421 too many"},
		{"imap without TLS", StartTLSIMAP, []turn{{"", "* OK\r\n"}, {"s1 STARTTLS\r\n", "s1 BAD no\r\n"}}, "s1 BAD no"},
		{"imap is full", StartTLSIMAP, []turn{{"", "* BYE too many\r\n"}}, "BYE"},
		{"pop3 without TLS", StartTLSPOP3, []turn{{"", "+OK\r\n"}, {"STLS\r\n", "-ERR no\r\n"}}, "-ERR no"},
		{"sieve without TLS", StartTLSSieve, []turn{{"", "\"SASL\" \"\"\r\nOK\r\n"}, {"STARTTLS\r\n", "NO \"no\"\r\n"}}, "NO"},
		{"sieve is full", StartTLSSieve, []turn{{"", "BYE (TRYLATER)\r\n"}}, "TRYLATER"},
		{"ftp without TLS", StartTLSFTP, []turn{{"", "220-x\r\n220 x\r\n"}, {"AUTH TLS\r\n", "530 Please login with USER and PASS.\r\n"}}, "530 Please"},
		{"ftp is full", StartTLSFTP, []turn{{"", "421 too many\r\n"}}, "421 too many"},
		{"nats without TLS", StartTLSNATS, []turn{{"", "INFO {\"tls_required\":false}\r\n"}}, "tls block"},
		{"not nats", StartTLSNATS, []turn{{"", "INFO that is no JSON\r\n"}}, "JSON"},
		{"nats hides it", StartTLSNATS, []turn{{"", "INFO {\"x\":\"\\\"tls_required\\\":true\"}\r\n"}}, "tls block"},
		{"xmpp without TLS", StartTLSXMPP, []turn{{"", "<stream:stream><stream:features></stream:features>"}, {xmppStream("jabber:client") + startTLSElement, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"}}, "<failure"},
		{"xmpp of another host", StartTLSXMPP, []turn{{"", "<?xml version='1.0'?><stream:stream><stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"}}, "host-unknown"},
		{"control characters", StartTLSFTP, []turn{{"", "500 \x1b[2J\u202e\r\n"}}, `\x1b[2J\u202e`},
		{"ldap without TLS", StartTLSLDAP, []turn{{string(startTLSRequest), "\x30\x17\x02\x01\x01\x78\x12\x0a\x01\x02\x04\x00\x04\x0bunsupported"}}, "unsupported"},
		{"not ldap", StartTLSLDAP, []turn{{"", "220 x\r\n"}}, "not LDAP"},
		{"plain text goes on", StartTLSPostgres, []turn{{"", "SELECT"}}, "plain text"},
		{"no TLS after all", StartTLSPostgres, []turn{{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "S"}, {"\x16", "HTTP/1.1 400 Bad Request\r\n\r\n"}}, "tls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "tcp", "127.0.0.1:0", issue(t, 1), func(s *service) {
				s.before = func(conn net.Conn) error {
					err := play(conn, c.turns)
					io.CopyN(io.Discard, conn, 1000) // until the client has had enough
					return errors.Join(err, errors.New("refused"))
				}
			})
			seen, err := prover(t, Config{TLS: s.address(), StartTLS: c.starttls, ServerName: "a&b.test"}).dial(t.Context(), wanted(issue(t, 1)))
			if !strings.Contains(fmt.Sprint(err), c.says) || seen.leaf != nil {
				t.Errorf("%v; want it to say %q", err, c.says)
			}
		})
	}
}

// hostile are answers without end, in one way or another.
var hostile = map[string]string{
	"line":         "\x00",
	"lines":        "* x\r\n",
	"untagged":     "250-x\r\n",
	"greetings":    "220-x\r\n",
	"long packet":  "\xff\xff\xff\x00\x0a",
	"long element": "\x30\x84\x7f\xff\xff\xff\x02\x01\x01",
	"high bytes":   "\xff",
	"info":         "INFO {",
	"capabilities": "\"X\"\r\n",
	"tags":         "<a>",
	"no tag":       "a<",
}

// endless repeats a text for ever.
type endless struct {
	text string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[e.read%len(e.text)]
		e.read++
	}
	return len(p), nil
}

func TestStartTLSHostileAnswersAreBounded(t *testing.T) {
	for starttls, protocol := range protocols {
		if protocol.upgrade == nil {
			continue
		}
		for name, text := range hostile {
			source := &endless{text: text}
			in := bufio.NewReader(io.LimitReader(source, plainSize))
			if err := protocol.upgrade(in, io.Discard, "a.test"); err == nil && in.Buffered() == 0 {
				t.Errorf("%s: %s: accepted", starttls, name)
			} else if err != nil && len(err.Error()) > 500 {
				t.Errorf("%s: %s: an error of %d bytes", starttls, name, len(err.Error()))
			}
			if source.read > plainSize {
				t.Errorf("%s: %s: %d bytes read", starttls, name, source.read)
			}
			if protocol.goodbye != nil {
				source.read = 0
				protocol.goodbye(bufio.NewReader(io.LimitReader(source, goodbyeSize)), io.Discard)
				if source.read > goodbyeSize {
					t.Errorf("%s: %s: %d bytes read at the end", starttls, name, source.read)
				}
			}
		}
	}
}

// TestPlainTextWhereTLSBegins: what comes together with the last answer could have
// been put there by an intruder, and be taken for the service's inside TLS.
func TestPlainTextWhereTLSBegins(t *testing.T) {
	for _, c := range services {
		var said []byte
		for _, turn := range c.before {
			said = append(said, turn.says...)
		}
		for more, want := range map[string]string{"": "", "x": "plain text", "\r\n": "plain text"} {
			conn := struct {
				io.Reader
				io.Writer
			}{strings.NewReader(string(said) + more), io.Discard}
			err := upgrade(conn, protocols[c.starttls], "a&b.test")
			if (err == nil) != (want == "") || !strings.Contains(fmt.Sprint(err), want) && want != "" {
				t.Errorf("%s and %q: %v, want %q", c.name, more, err, want)
			}
		}
	}
}

// TestEachProtocolIsTested: what is in the table was spoken by a service.
func TestEachProtocolIsTested(t *testing.T) {
	for _, starttls := range Protocols() {
		if !slices.ContainsFunc(services, func(s served) bool { return s.starttls == starttls }) {
			t.Errorf("no service speaks %s", starttls)
		}
	}
}
