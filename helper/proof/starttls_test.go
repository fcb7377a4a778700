package proof

import (
	"bufio"
	"bytes"
	"errors"
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

// services are what real ones of the distribution's packages say, and what
// they want to hear.
var services = []struct {
	name          string
	starttls      StartTLS
	before, after []turn
}{
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
	{"OpenLDAP", StartTLSLDAP, []turn{
		{string(startTLSRequest), "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"},
	}, []turn{{string(unbindRequest), ""}}},
	{"Active Directory", StartTLSLDAP, []turn{
		{string(startTLSRequest), "\x30\x84\x00\x00\x00\x28\x02\x01\x01\x78\x84\x00\x00\x00\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20037"},
	}, []turn{{string(unbindRequest), ""}}},
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
			r, err := prover(t, Config{TLS: s.address(), StartTLS: c.starttls}).Prove(t.Context(), wanted(cert))
			if err != nil || r.Attempts != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			s.sawGoodbye(t, c.name)
			t.Logf("proven after %v, goodbye after %v", r.Latency, time.Since(began))
		})
	}
}

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
			seen, err := prover(t, Config{TLS: s.address(), StartTLS: c.starttls}).dial(t.Context(), wanted(issue(t, 1)))
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
			if err := protocol.upgrade(in, io.Discard); err == nil && in.Buffered() == 0 {
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
			err := protocol.upgrade(whole, io.Discard)
			if err == nil && len(said) == 0 {
				t.Errorf("%s: silence is accepted", starttls)
			}
			// it makes no difference in which pieces the bytes arrive
			pieces := protocol.upgrade(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(said))), io.Discard)
			if (err == nil) != (pieces == nil) {
				t.Errorf("%s: %v at once, %v in pieces", starttls, err, pieces)
			}
			broken := iotest.DataErrReader(io.MultiReader(bytes.NewReader(said), iotest.ErrReader(os.ErrDeadlineExceeded)))
			protocol.upgrade(bufio.NewReader(broken), io.Discard)
			if protocol.goodbye != nil {
				protocol.goodbye(bufio.NewReader(bytes.NewReader(said)), io.Discard)
			}
		}
	})
}
