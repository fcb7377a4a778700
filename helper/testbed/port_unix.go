//go:build unix

package testbed

import (
	"errors"
	"runtime"
	"syscall"
)

// Port returns a TCP port of IPv4's loopback on which no socket listens. Until it
// is released, the kernel gives it to no socket that binds to any port. A socket
// that binds to this one gets it with SO_REUSEADDR, which all servers set.
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
		// Elsewhere no socket may listen beside another, not even beside one that does not.
		syscall.Close(fd)
		return port, func() {}, nil
	}
	return port, func() { syscall.Close(fd) }, nil
}
