package supervisor

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"os"
	"time"
)

// splayDelay returns where in the span the one with this identity stands. It is
// always the same for one identity, so that a rotation does not come at a
// different moment after each restart, and evenly spread over many.
func splayDelay(identity string, span time.Duration) time.Duration {
	if span <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(identity))
	delay, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), uint64(span))
	return time.Duration(delay)
}

// splayIdentity tells this host's target of that name from all others: a
// thousand replicas share a SPIFFE ID, not a host name.
func splayIdentity(target string) string {
	host, _ := os.Hostname() // without one, the target alone has to do
	return host + "\x00" + target
}
