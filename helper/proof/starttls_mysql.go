package proof

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Capabilities of the MySQL protocol that we speak of.
const (
	mysqlProtocol41 = 1 << 9
	mysqlSSL        = 1 << 11
	mysqlSecureAuth = 1 << 15
	mysqlPluginAuth = 1 << 19

	mysqlOurs = mysqlProtocol41 | mysqlSSL | mysqlSecureAuth | mysqlPluginAuth
)

// maxMySQL bounds, in bytes, a packet of the service.
const maxMySQL = 4 << 10

// readMySQL reads a packet.
func readMySQL(in *bufio.Reader) (seq byte, payload []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if size == 0 || size > maxMySQL {
		return 0, nil, errors.New("the answer is not one of MySQL or MariaDB")
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(in, payload); err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	return head[3], payload, nil
}

func writeMySQL(out io.Writer, seq byte, payload []byte) error {
	size := len(payload)
	_, err := out.Write(append([]byte{byte(size), byte(size >> 8), byte(size >> 16), seq}, payload...))
	return err
}

// sslRequest is a login cut off before the user's name.
func sslRequest() []byte {
	b := make([]byte, 32)
	binary.LittleEndian.PutUint32(b, mysqlOurs)
	binary.LittleEndian.PutUint32(b[4:], maxMySQL)
	b[8] = 45 // utf8mb4_general_ci
	return b
}

// upgradeMySQL reads the service's greeting and sends an SSLRequest.
func upgradeMySQL(in *bufio.Reader, out io.Writer, _ string) error {
	seq, greeting, err := readMySQL(in)
	if err != nil {
		return err
	}
	switch greeting[0] {
	case 10:
	case 0xff: // an error: 2 bytes of code, then text
		return fmt.Errorf("the service refuses, saying %s", quoted(string(greeting[min(3, len(greeting)):])))
	default:
		return fmt.Errorf("the service speaks version %d of the protocol, not 10", greeting[0])
	}
	_, rest, ok := bytes.Cut(greeting[1:], []byte{0}) // the server's version
	const before = 4 + 8 + 1                          // thread, salt, filler
	if !ok || len(rest) < before+2 {
		return errors.New("the greeting is too short")
	}
	if binary.LittleEndian.Uint16(rest[before:])&mysqlSSL == 0 {
		return errors.New("the service does not do TLS: are ssl_cert and ssl_key set?")
	}
	return writeMySQL(out, seq+1, sslRequest())
}

// leaveMySQL logs in as an unknown user and is refused. A client that breaks
// off before it has named a user counts against its host, and after a hundred of them
// (max_connect_errors) the host is locked out; one that is refused does not.
func leaveMySQL(in *bufio.Reader, out io.Writer) {
	login := append(sslRequest(), "svidhelper-proof\x00\x00mysql_native_password\x00"...)
	if writeMySQL(out, 2, login) != nil {
		return
	}
	seq, answer, err := readMySQL(in)
	if err == nil && answer[0] == 0xfe { // it asks for another way to log in
		if writeMySQL(out, seq+1, nil) == nil {
			_, _, _ = readMySQL(in)
		}
	}
}
