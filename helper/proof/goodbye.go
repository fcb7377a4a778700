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
// handshake. It has if it goes on or closes in peace; if not, an alert of its own
// comes first. In TLS 1.2 the handshake would have failed.
func goodbye(ctx context.Context, conn net.Conn, secure *tls.Conn, protocol protocol) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := conn.SetDeadline(time.Now().Add(goodbyeTime)); err != nil {
		return err
	}
	answers := &counter{Reader: secure}
	if protocol.goodbye != nil {
		protocol.goodbye(bufio.NewReader(io.LimitReader(answers, goodbyeSize)), secure)
	}
	_ = secure.CloseWrite()
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, err := io.CopyN(io.Discard, answers, goodbyeSize)
	_, _ = io.CopyN(io.Discard, conn, goodbyeSize)
	if answers.bytes > 0 || errors.Is(err, io.EOF) || secure.ConnectionState().Version < tls.VersionTLS13 {
		return nil
	}
	return err
}

// A counter counts what is read.
type counter struct {
	io.Reader
	bytes int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes += n
	return n, err
}
