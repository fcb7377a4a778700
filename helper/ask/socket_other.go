//go:build !linux

package ask

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// longest is the longest path of a socket in bytes.
const longest = 103

var errWindows = errors.New("not on Windows, where sockets have no owner")

// short returns the address of a socket in a directory.
func short(dir, name string) (address string, release func(), err error) {
	address = filepath.Join(dir, name)
	switch {
	case runtime.GOOS == "windows":
		return "", nil, errWindows
	case len(address) > longest:
		return "", nil, fmt.Errorf("the path is %d bytes long, a socket's is at most %d: use a shorter one", len(address), longest)
	}
	return address, func() {}, nil
}

func private(_, _ string, _ syscall.RawConn) error { return nil }

// protect makes a socket its owner's alone.
func protect(path string) error { return os.Chmod(path, 0o600) }
