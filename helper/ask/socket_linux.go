package ask

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// longest is the longest path of a socket in bytes.
const longest = 107

// short returns an address for a socket in a directory, however long the path is,
// and what releases it after its use.
func short(dir, name string) (address string, release func(), err error) {
	address = dir + "/" + name
	if len(address) <= longest {
		return address, func() {}, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name), func() { _ = unix.Close(fd) }, nil
}

// private has a socket that is about to be bound made for its owner alone.
func private(_, _ string, conn syscall.RawConn) (err error) {
	if cerr := conn.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); cerr != nil {
		return cerr
	}
	return err
}

// protect has nothing left to do.
func protect(string) error { return nil }
