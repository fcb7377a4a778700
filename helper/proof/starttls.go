package proof

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A protocol says how to come to TLS and how to leave. Neither needs more than
// a reader that ends, in time and in size.
type protocol struct {
	// upgrade speaks until TLS begins; nil where it begins at once.
	upgrade func(in *bufio.Reader, out io.Writer) error
	// goodbye leaves, inside TLS; nil where closing says it all.
	goodbye func(in *bufio.Reader, out io.Writer)
}

var protocols = map[StartTLS]protocol{
	StartTLSNone:     {},
	StartTLSPostgres: {upgrade: upgradePostgres}, // it expects clients that leave here
	StartTLSMySQL:    {upgrade: upgradeMySQL, goodbye: leaveMySQL},
	StartTLSSMTP:     {upgrade: upgradeSMTP, goodbye: leaveSMTP},
	StartTLSIMAP:     {upgrade: upgradeIMAP, goodbye: leaveIMAP},
	StartTLSLDAP:     {upgrade: upgradeLDAP, goodbye: leaveLDAP},
}

// maxReplyLines bounds the lines of one answer.
const maxReplyLines = 100

// readLine returns a line without its end. The reader's buffer bounds it.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errors.New("an answer has a line without end")
	case errors.Is(err, io.EOF):
		return "", errors.New("the service closed the connection")
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// quoted returns what a service said, fit for an error.
func quoted(s string) string { return fmt.Sprintf("%.100q", s) }

// upgradePostgres sends SSLRequest (PostgreSQL 54.2.11); the answer is a byte.
func upgradePostgres(in *bufio.Reader, out io.Writer) error {
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

// readSMTP reads one answer (RFC 5321 4.2) and checks its code.
func readSMTP(in *bufio.Reader, code string) error {
	for range maxReplyLines {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("the service answers %s, not %s", quoted(line), code)
		}
		if !strings.HasPrefix(line, code+"-") {
			return nil
		}
	}
	return errors.New("an answer has no end")
}

// upgradeSMTP sends STARTTLS (RFC 3207).
func upgradeSMTP(in *bufio.Reader, out io.Writer) error {
	for _, step := range []struct{ say, code string }{
		{"", "220"},
		{"EHLO localhost\r\n", "250"},
		{"STARTTLS\r\n", "220"},
	} {
		if _, err := io.WriteString(out, step.say); err != nil {
			return err
		}
		if err := readSMTP(in, step.code); err != nil {
			return err
		}
	}
	return nil
}

func leaveSMTP(in *bufio.Reader, out io.Writer) {
	_, _ = io.WriteString(out, "QUIT\r\n")
	_ = readSMTP(in, "221")
}

// readIMAP reads lines until the one that begins with tag, and checks that it
// says OK (RFC 9051 7.1).
func readIMAP(in *bufio.Reader, tag string) error {
	for range maxReplyLines {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		status, ok := strings.CutPrefix(line, tag+" ")
		switch {
		case !ok:
			continue // not about our command
		case len(status) >= 2 && strings.EqualFold(status[:2], "OK"):
			return nil
		default:
			return fmt.Errorf("the service answers %s", quoted(line))
		}
	}
	return errors.New("an answer has no end")
}

// upgradeIMAP sends STARTTLS (RFC 9051 6.2.1).
func upgradeIMAP(in *bufio.Reader, out io.Writer) error {
	if err := readIMAP(in, "*"); err != nil {
		return err
	}
	if _, err := io.WriteString(out, "s1 STARTTLS\r\n"); err != nil {
		return err
	}
	return readIMAP(in, "s1")
}

func leaveIMAP(in *bufio.Reader, out io.Writer) {
	_, _ = io.WriteString(out, "s2 LOGOUT\r\n")
	_ = readIMAP(in, "s2")
}
