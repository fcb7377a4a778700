package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"runtime"
	"strings"
)

// ParseAddress returns the Workload API's address as a URI of the SPIFFE
// Workload Endpoint standard (4): a bare path, unix:/path and unix:///path
// become unix:///path; tcp://IP:port stays. On Windows a bare name is a named
// pipe's, and becomes npipe:name.
func ParseAddress(s string) (string, error) { return parseAddress(s, runtime.GOOS) }

func parseAddress(s, goos string) (string, error) {
	scheme, rest, hasScheme := strings.Cut(s, ":")
	switch {
	case s == "":
		return "", errors.New("the address is empty")
	case hasControl(s):
		return "", errors.New("the address has a control character")
	case hasScheme && scheme == "unix":
		return unixAddress(rest)
	case hasScheme && scheme == "tcp":
		return tcpAddress(rest)
	case goos == "windows":
		return pipeAddress(s)
	case hasScheme && scheme == "npipe":
		return "", errors.New("named pipes are for Windows; write unix:///path")
	case hasScheme && !strings.Contains(scheme, "/"):
		return "", fmt.Errorf("%q is not a scheme of the Workload API; write unix:///path or tcp://IP:port", scheme)
	}
	return socketAddress(s)
}

// unixAddress takes what follows "unix:".
func unixAddress(rest string) (string, error) {
	afterSlashes, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return socketAddress(rest)
	}
	if !strings.HasPrefix(afterSlashes, "/") { // an authority, which a socket has none of
		return "", errors.New("the socket's path must be absolute; write unix:///path, with three slashes")
	}
	return socketAddress(afterSlashes)
}

func socketAddress(p string) (string, error) {
	if !path.IsAbs(p) {
		return "", errors.New("the socket's path must be absolute; write unix:///path")
	}
	if strings.HasSuffix(p, "/") {
		return "", errors.New("the path names a directory, not a socket")
	}
	if strings.ContainsAny(p, "?#") {
		return "", errors.New("the address of a socket has no query and no fragment")
	}
	return "unix://" + path.Clean(p), nil
}

func tcpAddress(rest string) (string, error) {
	hostPort, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return "", errors.New("write tcp://IP:port")
	}
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil || ap.Port() == 0 {
		return "", errors.New("the address must be an IP and a port, as in tcp://127.0.0.1:8081")
	}
	return "tcp://" + ap.String(), nil
}

func pipeAddress(s string) (string, error) {
	s = strings.TrimPrefix(s, "npipe:")
	s = strings.TrimPrefix(s, `\\.\pipe\`)
	s = strings.ReplaceAll(s, "/", `\`)
	if s == "" || strings.HasPrefix(s, `\`) {
		return "", errors.New(`the address must be a named pipe's name, as in npipe:spire-agent\public\api`)
	}
	return "npipe:" + s, nil
}
