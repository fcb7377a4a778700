package proof

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// An address is where to dial.
type address struct {
	network, address string
	host             string // for SNI; empty for an IP address or a socket
}

func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if !strings.HasPrefix(path, "/") {
			return address{}, fmt.Errorf("address %q: write unix:///path", s)
		}
		return address{network: "unix", address: path}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return address{}, fmt.Errorf("address %q: %w; write host:port, [IPv6]:port or unix:///path", s, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return address{}, fmt.Errorf("address %q: %q is not a port", s, port)
	}
	if host == "" {
		return address{}, fmt.Errorf("address %q: the host is missing; write 127.0.0.1:%s", s, port)
	}
	a := address{network: "tcp", address: s}
	if _, err := netip.ParseAddr(host); err != nil {
		a.host = strings.TrimSuffix(host, ".")
	}
	return a, nil
}
