// Package frugal has the Go runtime take little: a helper is nearly always idle,
// and one of many on a machine. It is imported for its effect, and has hardly a
// dependency, so that it comes before the packages that allocate.
//
// A rotation is one thing after another. A second processor costs it caches,
// threads and wake-ups: a quarter of its CPU and 300 kB at rest on a machine of
// two processors, and more on a larger one. GOMAXPROCS in the environment goes
// before it.
package frugal

import (
	"runtime"
	"syscall"
)

func init() {
	if _, set := syscall.Getenv("GOMAXPROCS"); !set {
		runtime.GOMAXPROCS(1)
	}
}
