// Package splay spreads what many hosts would do at once.
package splay

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"os"
	"time"
)

// Delay returns where in the span the one with this identity stands. It is
// always the same for one identity, so that a rotation does not come at a
// different moment after each restart, and evenly spread over many.
func Delay(identity string, span time.Duration) time.Duration {
	if span <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(identity))
	delay, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), uint64(span))
	return time.Duration(delay)
}

// Identity tells this host's target of that name from all others: a
// thousand replicas share a SPIFFE ID, not a host name.
func Identity(target string) string {
	host, _ := os.Hostname() // without one, the target alone has to do
	return host + "\x00" + target
}
