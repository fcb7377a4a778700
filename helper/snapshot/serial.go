package snapshot

import (
	"cmp"
	"fmt"
	"math/big"
)

// Serial writes a certificate's serial number as openssl does, so that it can be
// searched for: whole bytes, in upper-case hexadecimal.
func Serial(n *big.Int) string {
	digits := cmp.Or(fmt.Sprintf("%X", n.Bytes()), "00")
	if n.Sign() < 0 {
		return "-" + digits
	}
	return digits
}
