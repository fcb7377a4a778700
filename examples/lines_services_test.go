//go:build linux && services

package examples_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
)

// readLine reads up to the end of a line, and not a byte more: TLS may follow.
func readLine(conn net.Conn) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b[0]) {
		if _, err := io.ReadFull(conn, b); err != nil {
			return "", fmt.Errorf("after %q: %w", line, err)
		}
		if b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
	}
}

// lines is an opening in lines: what is said (nothing, if it is empty), and how the
// answer to it begins. Lines of an answer that are no end of it are passed over: those
// of IMAP with a "*", and those of SMTP and FTP with a "-" behind the code.
func lines(saidHeard ...string) opening {
	return func(conn net.Conn) error {
		for i := 0; i < len(saidHeard); i += 2 {
			said, want := saidHeard[i], saidHeard[i+1]
			if said != "" {
				if _, err := io.WriteString(conn, said+"\r\n"); err != nil {
					return err
				}
			}
			for {
				line, err := readLine(conn)
				if err != nil {
					return fmt.Errorf("%q: %w", said, err)
				}
				if strings.HasPrefix(line, want) {
					break
				}
				if !strings.HasPrefix(line, "* ") && (len(line) < 4 || line[3] != '-') {
					return fmt.Errorf("%q is answered with %q, not %q", said, line, want)
				}
			}
		}
		return nil
	}
}

// insideTLS is an opening's words inside TLS.
func insideTLS(open opening) talk { return func(conn *tls.Conn) error { return open(conn) } }
