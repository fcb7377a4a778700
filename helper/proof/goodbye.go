package proof

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

const (
	// goodbyeTime bounds the end of a connection. A service closes it at once,
	// and a busy one soon; to leave before it has would be noise in its log.
	goodbyeTime = time.Second
	// goodbyeSize bounds, in bytes, what we read after our goodbye.
	goodbyeSize = 64 << 10
)

// goodbye ends the connection such that the service sees a client that leaves
// and not one that breaks off. In TLS 1.3 our side of the handshake is over
// before the service has looked at our certificate; closing then, with its
// answer unread, would reset the connection under its feet. So: say goodbye in
// its protocol, then in TLS, then close our half and read until it has closed
// its own.
//
// The error is why the service is not known to have accepted our side of the
// handshake. It has if it goes on, be it with the tickets that many send first, or
// closes in peace; if not, an alert of its own comes first. In TLS 1.2 the handshake
// would have failed.
func goodbye(ctx context.Context, conn *counted, secure *tls.Conn, protocol protocol) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := conn.SetDeadline(time.Now().Add(goodbyeTime)); err != nil {
		return err
	}
	before := conn.read
	if protocol.goodbye != nil {
		protocol.goodbye(bufio.NewReader(io.LimitReader(secure, goodbyeSize)), secure)
	}
	_ = secure.CloseWrite()
	if half, ok := conn.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, err := io.CopyN(io.Discard, secure, goodbyeSize)
	went := conn.read > before || errors.Is(err, io.EOF)
	_, _ = io.CopyN(io.Discard, conn, goodbyeSize)
	if secure.ConnectionState().Version < tls.VersionTLS13 || went && !turnedAway(err) {
		return nil
	}
	return err
}

// A counted connection counts the bytes that it has read.
type counted struct {
	net.Conn
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read += n
	return n, err
}
