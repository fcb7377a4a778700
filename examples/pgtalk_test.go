//go:build linux

package examples_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// sslRequest is what a client of PostgreSQL says before TLS.
func sslRequest(conn net.Conn) error {
	const code = 80877103
	request := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), code)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if answer[0] != 'S' {
		return fmt.Errorf("the server answered the SSLRequest with %q", answer)
	}
	return nil
}

// pgLogin logs in, and leaves once it is welcome.
func pgLogin(conn *tls.Conn) error {
	const version = 3 << 16
	body := append(binary.BigEndian.AppendUint32(nil, version), "user\x00postgres\x00database\x00postgres\x00\x00"...)
	login := append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
	welcome := "R\x00\x00\x00\x08\x00\x00\x00\x00" // AuthenticationOk
	if err := ask(string(login), welcome)(conn); err != nil {
		return err
	}
	_, err := conn.Write([]byte("X\x00\x00\x00\x04")) // Terminate
	return err
}
