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

// CheckAddress reports why an address cannot be dialled: it is host:port,
// [IPv6]:port or unix:///path.
func CheckAddress(s string) error {
	_, err := parseAddress(s)
	return err
}

func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") {
			return address{}, fmt.Errorf("address %q: the path of a socket is absolute, and no directory's", s)
		}
		return address{network: "unix", address: path}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return address{}, fmt.Errorf("address %q is not host:port", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return address{}, fmt.Errorf("address %q: %q is not a port", s, port)
	}
	if host == "" {
		return address{}, fmt.Errorf("address %q names no host", s)
	}
	a := address{network: "tcp", address: s}
	if _, err := netip.ParseAddr(host); err != nil {
		a.host = strings.TrimSuffix(host, ".")
	}
	return a, nil
}

// Named reports whether an address names a host, and does not only number it.
func Named(s string) bool {
	a, err := parseAddress(s)
	return err == nil && a.host != ""
}

// CheckALPN reports why a name cannot be offered (RFC 7301 3.1).
func CheckALPN(name string) error {
	if len(name) == 0 || len(name) > 255 {
		return fmt.Errorf("alpn: a name has 1 to 255 bytes, not %d", len(name))
	}
	return nil
}
