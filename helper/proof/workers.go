package proof

import "math"

// chance is how often at most, over all looks of a proof, a worker that is behind is
// missed.
const chance = 0.001

// inARow is how many connections one after the other have to show what is wanted, of
// n workers of which each connection reaches one by chance, after so many looks that
// did not: so many that one worker that is behind is missed once in a thousand proofs.
// A service that stays behind is looked at again and again, and each look could miss
// it. So each may do so less often than the one before; the chances 1/2, 1/6, 1/12 and
// so on add up to 1.
//
// That is how connections are shared out among sockets with SO_REUSEPORT, and by a
// load balancer. Processes that wait at the same socket take them as the kernel wakes
// them, and then some may never be reached while the service has little to do.
func inARow(n, looks int) int {
	if n < 2 {
		return 1
	}
	share := chance / (float64(looks+1) * float64(looks+2))
	return int(math.Ceil(math.Log(share) / math.Log1p(-1/float64(n))))
}
