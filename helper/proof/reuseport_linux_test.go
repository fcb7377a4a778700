package proof

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// share has a service share its port with others, as its workers would.
func share(t *testing.T, address string, cert *tls.Certificate) *service {
	t.Helper()
	listen := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }), err)
	}}
	ln, err := listen.Listen(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, cert, nil)
}

// TestReusedPort: of two sockets with one port, among which the kernel shares out
// connections, one has a worker that stays behind. A single connection takes the one
// for the other in half of the cases; a row of them finds it out, and is proven once it
// has come along.
func TestReusedPort(t *testing.T) {
	t.Parallel()
	before, after := issue(t, 1), issue(t, 2)
	first := share(t, "127.0.0.1:0", after)
	second := share(t, first.address(), before)
	unhurried(t, 300*time.Millisecond, func(timeout time.Duration) error {
		// more than there are, so that the test is not fooled once in a thousand times
		_, err := prover(t, Config{TLS: first.address(), Workers: 8, Timeout: timeout}).Prove(t.Context(), wanted(after))
		if e := failure(t, err); e.Right || e.Served != "01" {
			return fmt.Errorf("not found out: %w", err)
		}
		return nil
	})
	second.cert.Store(after)
	r, err := prover(t, Config{TLS: first.address(), Workers: 8, Timeout: patience}).Prove(t.Context(), wanted(after))
	if err != nil || r.Attempts != inARow(8, 0) {
		t.Errorf("%+v, %v", r, err)
	}
	t.Logf("%d and %d connections", first.seen(), second.seen())
}
