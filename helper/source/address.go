package source

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"unicode"
)

// An Address is where the Workload API is (SPIFFE Workload Endpoint 4).
type Address struct {
	Network string // "unix", "tcp" or "npipe"
	Target  string // a path, IP:port, or the name of a pipe
}

// String is the address as a URI.
func (a Address) String() string {
	if a.Network == "npipe" {
		return "npipe:" + a.Target
	}
	return a.Network + "://" + a.Target
}

// ParseAddress parses an address of the Workload API as it is written for an
// operating system: unix:///path, unix:/path or a bare path; tcp://IP:port; on
// Windows, npipe:name or a bare name for a named pipe, and no path. A path is
// taken as it is written: nothing in it is escaped.
func ParseAddress(s, goos string) (Address, error) {
	scheme, rest, hasScheme := strings.Cut(s, ":")
	windows := goos == "windows"
	switch {
	case s == "":
		return Address{}, errors.New("the address is empty")
	case strings.ContainsFunc(s, unicode.IsControl):
		return Address{}, errors.New("the address has a control character")
	case hasScheme && scheme == "unix" && windows:
		return Address{}, errors.New(`on Windows the Workload API has a named pipe; write npipe:spire-agent\public\api`)
	case hasScheme && scheme == "unix":
		return parseUnix(rest)
	case hasScheme && scheme == "tcp":
		return parseTCP(rest)
	case windows:
		return parsePipe(s)
	case hasScheme && scheme == "npipe":
		return Address{}, errors.New("named pipes are for Windows; write unix:///path")
	case hasScheme && !strings.Contains(scheme, "/"):
		return Address{}, fmt.Errorf("%q is not a scheme of the Workload API; write unix:///path or tcp://IP:port", scheme)
	}
	return parseSocket(s)
}

// parseUnix parses what follows "unix:".
func parseUnix(rest string) (Address, error) {
	afterSlashes, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return parseSocket(rest)
	}
	if !strings.HasPrefix(afterSlashes, "/") { // an authority, which a socket has none of
		return Address{}, errors.New("the socket's path must be absolute; write unix:///path, with three slashes")
	}
	return parseSocket(afterSlashes)
}

func parseSocket(p string) (Address, error) {
	switch {
	case !path.IsAbs(p):
		return Address{}, errors.New("the socket's path must be absolute; write unix:///path")
	case strings.HasSuffix(p, "/"):
		return Address{}, errors.New("the path names a directory, not a socket")
	case strings.ContainsAny(p, "?#"):
		return Address{}, errors.New("the address of a socket has no query and no fragment")
	}
	return Address{"unix", path.Clean(p)}, nil
}

func parseTCP(rest string) (Address, error) {
	hostPort, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return Address{}, errors.New("write tcp://IP:port")
	}
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil || ap.Port() == 0 {
		return Address{}, errors.New("the address must be an IP and a port, as in tcp://127.0.0.1:8081")
	}
	return Address{"tcp", ap.String()}, nil
}

func parsePipe(s string) (Address, error) {
	s = strings.TrimPrefix(s, "npipe:")
	s = strings.TrimPrefix(s, `\\.\pipe\`)
	s = strings.ReplaceAll(s, "/", `\`)
	if s == "" || strings.HasPrefix(s, `\`) {
		return Address{}, errors.New(`the address must be a named pipe's name, as in npipe:spire-agent\public\api`)
	}
	return Address{"npipe", s}, nil
}
