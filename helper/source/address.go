package source

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
)

// socketEnv holds the Workload API's address (Workload Endpoint 4).
const socketEnv = "SPIFFE_ENDPOINT_SOCKET"

// DefaultAddress returns the address to use when the configuration names none:
// that of SPIFFE_ENDPOINT_SOCKET, which may be a bare path, else where a SPIRE
// agent has its socket.
func DefaultAddress() string {
	if addr := os.Getenv(socketEnv); strings.HasPrefix(addr, "/") {
		return "unix://" + addr
	} else if addr != "" {
		return addr
	}
	if runtime.GOOS == "windows" {
		return "npipe:spire-agent/public/api"
	}
	return "unix:///tmp/spire-agent/public/api.sock"
}

// An address is where to dial.
type address struct {
	network string // unix, tcp or npipe
	target  string // path, IP:port or name of the pipe
}

// parseAddress parses a URI as in the Workload Endpoint standard (4). The path
// of a Unix socket is taken as it is written: it is a path, nothing in it is
// escaped.
func parseAddress(s string) (address, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	windows := runtime.GOOS == "windows"
	switch {
	case scheme == "unix" && !windows:
		if path := strings.TrimPrefix(rest, "//"); strings.HasPrefix(path, "/") {
			return address{"unix", path}, nil
		}
		return address{}, fmt.Errorf("address of the Workload API %q: want unix:///absolute/path", s)
	case scheme == "tcp":
		hostPort := strings.TrimPrefix(rest, "//")
		if _, err := netip.ParseAddrPort(hostPort); err != nil {
			return address{}, fmt.Errorf("address of the Workload API %q: want tcp://IP:port, not a name", s)
		}
		return address{"tcp", hostPort}, nil
	case scheme == "npipe" && windows && rest != "":
		return address{"npipe", rest}, nil
	}
	return address{}, fmt.Errorf("address of the Workload API %q: want unix:///path or tcp://IP:port (npipe:name on Windows)", s)
}
