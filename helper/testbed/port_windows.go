package testbed

import "net"

// Port returns a TCP port of IPv4's loopback on which no socket listens.
func Port() (port int, release func(), err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	return l.Addr().(*net.TCPAddr).Port, func() {}, l.Close()
}
