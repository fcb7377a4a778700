//go:build unix

package testbed

import (
	"errors"
	"runtime"
	"syscall"
)

// Port returns a TCP port of IPv4's loopback that nobody listens on. Until it is
// released nobody is given it who asks for any port. Who asks for this one gets
// it, if he says SO_REUSEADDR before, as all servers do.
func Port() (port int, release func(), err error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, nil, err
	}
	reuse := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	bind := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	name, err := syscall.Getsockname(fd)
	if err := errors.Join(reuse, bind, err); err != nil {
		syscall.Close(fd)
		return 0, nil, err
	}
	port = name.(*syscall.SockaddrInet4).Port
	if runtime.GOOS != "linux" {
		// Elsewhere nobody may listen beside a socket, not even one that does not.
		syscall.Close(fd)
		return port, func() {}, nil
	}
	return port, func() { syscall.Close(fd) }, nil
}
