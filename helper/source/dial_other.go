//go:build !windows

package source

import (
	"context"
	"net"
	"syscall"
)

// errRefused says that nothing listens.
const errRefused = syscall.ECONNREFUSED

// dialNet connects to a Unix socket or a TCP port.
func dialNet(ctx context.Context, a Address) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, a.Network, a.Target)
}
