//go:build !windows

package source

import (
	"context"
	"net"
)

// dialNet connects to a Unix socket or a TCP port.
func dialNet(ctx context.Context, a address) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, a.network, a.target)
}
