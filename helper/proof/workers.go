package proof

import "math"

// chance is how often, in the mean, a worker that is behind may be missed.
const chance = 0.001

// inARow is how many connections one after the other have to show what is wanted:
// so many that, of n workers of which each connection reaches one by chance, one that
// is behind would be missed once in a thousand times.
//
// That is how connections are shared out among sockets with SO_REUSEPORT, and by a
// load balancer. Processes that wait at the same socket take them as the kernel wakes
// them, and then some may never be reached while the service has little to do.
func inARow(n int) int {
	if n < 2 {
		return 1
	}
	return int(math.Ceil(math.Log(chance) / math.Log1p(-1/float64(n))))
}
