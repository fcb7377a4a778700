//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// hops is how often, at most, one thread waits for another to run in what is
// measured here.
const hops = 20

// memoryDir returns a directory in memory, where there is one: no disk delays
// what is measured.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "svidhelper")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// freePort returns a port that nobody listens on. Until the test ends, nobody is
// given it who asks for any port; who asks for this one gets it.
func freePort(t *testing.T) int {
	t.Helper()
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	faultlessly(t, err)
	// Linux lets somebody listen beside a socket that does not, if both say so.
	if runtime.GOOS == "linux" {
		t.Cleanup(func() { syscall.Close(fd) })
	} else {
		defer syscall.Close(fd)
	}
	faultlessly(t, syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
	faultlessly(t, syscall.Bind(fd, &syscall.SockaddrInet4{}))
	name, err := syscall.Getsockname(fd)
	faultlessly(t, err)
	return name.(*syscall.SockaddrInet4).Port
}
