// Package devapitest starts the development Workload API for a test, and closes
// it with the test.
package devapitest

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// A TB is what is needed of a *testing.T.
type TB interface {
	Helper()
	Cleanup(func())
	Error(...any)
	Fatal(...any)
}

// New returns a server, not started, and its faults, those of the Config if it
// has any. It is closed when the test ends.
func New(t TB, c devapi.Config) (*devapi.Server, *devapi.Faults) {
	t.Helper()
	if c.Faults == nil {
		c.Faults = new(devapi.Faults)
	}
	s, err := devapi.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, c.Faults
}

// Start is New, and serves on a Socket, or on a port where clients of the
// Workload API know no sockets.
func Start(t TB, c devapi.Config) (*devapi.Server, *devapi.Faults) {
	t.Helper()
	s, f := New(t, c)
	address := "tcp://127.0.0.1:0"
	if runtime.GOOS != "windows" {
		address = "unix://" + Socket(t)
	}
	if err := s.Start(address); err != nil {
		t.Fatal(err)
	}
	return s, f
}

// Socket returns a path for a socket, in a new directory that goes with the
// test. It is short: t.TempDir is often too long for the hundred bytes that a
// socket's path may have.
func Socket(t TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "api.sock")
}
