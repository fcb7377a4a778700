package proof

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// lineSize bounds, in bytes, one line of a service. That of NATS grows with its
	// cluster.
	lineSize = 16 << 10
	// maxLines bounds the lines of one answer.
	maxLines = 100
)

var errEndless = errors.New("an answer has no end")

// readLine returns a line without its end. The reader's buffer bounds it.
func readLine(in *bufio.Reader) (string, error) {
	line, err := readTo(in, '\n')
	return strings.TrimRight(line, "\r\n"), err
}

func readTo(in *bufio.Reader, delimiter byte) (string, error) {
	text, err := in.ReadSlice(delimiter)
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errors.New("an answer has a line without end")
	case errors.Is(err, io.EOF):
		return "", errors.New("the service closed the connection")
	}
	return string(text), err
}

// unwanted is the error about an answer.
func unwanted(line, want string) error {
	return fmt.Errorf("the service answers %s, not %s", quoted(line), want)
}

// readLineOf reads one line, which must begin with want.
func readLineOf(in *bufio.Reader, want string) error {
	line, err := readLine(in)
	if err == nil && !strings.HasPrefix(line, want) {
		return unwanted(line, want)
	}
	return err
}

// readReply reads a reply of one or more lines and checks its code. What stands
// between the first line and the last one is free in FTP (RFC 959 4.2); SMTP
// repeats the code (RFC 5321 4.2).
func readReply(in *bufio.Reader, code string) error {
	for n := range maxLines {
		line, err := readLine(in)
		switch {
		case err != nil:
			return err
		case n == 0 && !strings.HasPrefix(line, code):
			return unwanted(line, code)
		case strings.HasPrefix(line, code) && !strings.HasPrefix(line, code+"-"):
			return nil
		}
	}
	return errEndless
}

// readTagged reads lines until the one that begins with tag, and checks that it
// says OK (RFC 9051 7.1).
func readTagged(in *bufio.Reader, tag string) error {
	for range maxLines {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		status, ok := strings.CutPrefix(line, tag+" ")
		switch {
		case !ok: // not about our command
		case beginsWith(status, "OK"):
			return nil
		default:
			return unwanted(line, "OK")
		}
	}
	return errEndless
}

// readSieve reads lines until one that begins with OK; NO and BYE are refusals
// (RFC 5804 1.3).
func readSieve(in *bufio.Reader, want string) error {
	for range maxLines {
		line, err := readLine(in)
		switch {
		case err != nil:
			return err
		case beginsWith(line, want):
			return nil
		case beginsWith(line, "NO"), beginsWith(line, "BYE"):
			return unwanted(line, want)
		}
	}
	return errEndless
}

// beginsWith reports whether the first word of a line, in whatever case, is one
// that we know.
func beginsWith(line, word string) bool {
	first, _, _ := strings.Cut(line, " ")
	return strings.EqualFold(first, word)
}

// readNATS reads the service's INFO, whose JSON says whether it does TLS.
func readNATS(in *bufio.Reader, want string) error {
	line, err := readLine(in)
	switch {
	case err != nil:
		return err
	case !strings.HasPrefix(line, want):
		return unwanted(line, want)
	}
	var info struct {
		Required  bool `json:"tls_required"`
		Available bool `json:"tls_available"`
	}
	if err := json.Unmarshal([]byte(line[len(want):]), &info); err != nil {
		return unwanted(line, "JSON")
	}
	if !info.Required && !info.Available {
		return errors.New("the service does not do TLS: has its configuration a tls block?")
	}
	return nil
}

const startTLSElement = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

// xmpp is the dialogue of a client, or of another server, with a server that knows
// the host.
func xmpp(namespace string) dialogue {
	stream := "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' xmlns='" + namespace + "' xmlns:stream='http://etherx.jabber.org/streams'>"
	return dialogue{read: readXMPP, steps: []step{{stream, "</stream:features"}, {startTLSElement, "<proceed"}}}
}

// readXMPP reads tags until the one that is wanted; errors and the end of the
// stream are refusals (RFC 6120 4.9, 5.4.2.2).
func readXMPP(in *bufio.Reader, want string) error {
	refused := ""
	for range maxLines {
		text, err := readTo(in, '>')
		if err != nil {
			return err
		}
		tag := text[max(strings.LastIndexByte(text, '<'), 0):]
		switch {
		case refused != "":
			return unwanted(refused+tag, want)
		case strings.HasPrefix(tag, want):
			return nil
		case strings.HasPrefix(tag, "<stream:error"):
			refused = tag // what is wrong is the next one
		case strings.HasPrefix(tag, "<failure"), strings.HasPrefix(tag, "</stream:stream"):
			return unwanted(tag, want)
		}
	}
	return errEndless
}
