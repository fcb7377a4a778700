package proof

import (
	"bufio"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strings"
)

// A protocol says how to come to TLS and how to leave. Neither needs more than
// a reader that ends, in time and in size.
type protocol struct {
	// upgrade speaks until TLS begins; nil where it begins at once. host is the
	// name that is sent as SNI.
	upgrade func(in *bufio.Reader, out io.Writer, host string) error
	// goodbye leaves, inside TLS; nil where closing says it all.
	goodbye func(in *bufio.Reader, out io.Writer)
}

// protocols has each value of starttls. Most are a dialogue of a few lines.
var protocols = map[StartTLS]protocol{
	StartTLSNone:     {},
	StartTLSPostgres: {upgrade: upgradePostgres}, // it expects clients that leave here
	StartTLSMySQL:    {upgrade: upgradeMySQL, goodbye: leaveMySQL},
	StartTLSLDAP:     {upgrade: upgradeLDAP, goodbye: leaveLDAP},
	// RFC 3207
	StartTLSSMTP: dialogue{readReply, []step{{"", "220"}, {"EHLO localhost\r\n", "250"}, {"STARTTLS\r\n", "220"}}, step{"QUIT\r\n", "221"}}.protocol(),
	// RFC 4217
	StartTLSFTP: dialogue{readReply, []step{{"", "220"}, {"AUTH TLS\r\n", "234"}}, step{"QUIT\r\n", "221"}}.protocol(),
	// RFC 9051 6.2.1
	StartTLSIMAP: dialogue{readTagged, []step{{"", "*"}, {"s1 STARTTLS\r\n", "s1"}}, step{"s2 LOGOUT\r\n", "s2"}}.protocol(),
	// RFC 2595 4
	StartTLSPOP3: dialogue{readLineOf, []step{{"", "+OK"}, {"STLS\r\n", "+OK"}}, step{"QUIT\r\n", "+OK"}}.protocol(),
	// RFC 5804 2.2; inside TLS the service lists its capabilities once more
	StartTLSSieve: dialogue{readSieve, []step{{"", "OK"}, {"STARTTLS\r\n", "OK"}}, step{"LOGOUT\r\n", "OK"}}.protocol(),
	// the service speaks first, and either side then begins TLS
	StartTLSNATS: dialogue{readNATS, []step{{"", "INFO "}}, step{}}.protocol(),
	// RFC 6120 5.4
	StartTLSXMPP:       xmpp("jabber:client").protocol(),
	StartTLSXMPPServer: xmpp("jabber:server").protocol(),
}

// Protocols are the values of starttls, in order.
func Protocols() []StartTLS {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(protocols)), func(s StartTLS) bool { return s == StartTLSNone })
}

// A dialogue is a protocol of texts that take turns.
type dialogue struct {
	// read reads an answer, and returns an error if it is not the wanted one.
	read    func(in *bufio.Reader, want string) error
	steps   []step
	goodbye step // empty: closing says it all
}

// A step is what we say, in which {host} stands for the name that is sent as SNI,
// and the answer that we want to hear.
type step struct{ say, want string }

func (d dialogue) protocol() protocol {
	p := protocol{upgrade: func(in *bufio.Reader, out io.Writer, host string) error {
		for _, s := range d.steps {
			if err := d.take(s, in, out, host); err != nil {
				return err
			}
		}
		return nil
	}}
	if d.goodbye != (step{}) {
		p.goodbye = func(in *bufio.Reader, out io.Writer) { _ = d.take(d.goodbye, in, out, "") }
	}
	return p
}

func (d dialogue) take(s step, in *bufio.Reader, out io.Writer, host string) error {
	if s.say != "" {
		if _, err := io.WriteString(out, strings.ReplaceAll(s.say, "{host}", html.EscapeString(host))); err != nil {
			return err
		}
	}
	return d.read(in, s.want)
}

// upgrade speaks the protocol up to the point where TLS begins.
func upgrade(conn io.ReadWriter, p protocol, host string) error {
	in := bufio.NewReaderSize(io.LimitReader(conn, plainSize), lineSize)
	if err := p.upgrade(in, conn, host); err != nil {
		return err
	}
	if in.Buffered() > 0 {
		return errors.New("the service goes on in plain text where TLS should begin")
	}
	return nil
}

// quoted returns what a service said, fit for an error.
func quoted(s string) string { return fmt.Sprintf("%.100q", s) }

// upgradePostgres sends SSLRequest (PostgreSQL 54.2.11); the answer is a byte.
func upgradePostgres(in *bufio.Reader, out io.Writer, _ string) error {
	if _, err := out.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // length, 1234 5679
		return err
	}
	answer, err := in.ReadByte()
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch answer {
	case 'S':
		return nil
	case 'N':
		return errors.New("the service does not do TLS: is ssl = on?")
	default:
		return fmt.Errorf("the service answers %s: is it PostgreSQL?", quoted(string(answer)))
	}
}
