//go:build unix

package main

import (
	"os"
	"testing"

	"github.com/svidhelper/svidhelper/helper/testbed"
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

// freePort returns a port that is the test's: nobody listens there, and nobody
// else gets it.
func freePort(t *testing.T) int {
	t.Helper()
	port, release, err := testbed.Port()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return port
}
