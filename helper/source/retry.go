package source

import (
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
)

// A class is a kind of failure, as far as trying again is concerned.
type class uint8

const (
	// transient: the Workload API is away, or cannot answer now.
	transient class = iota
	// denied: it answers that there is no identity for us. That can change with
	// a registration entry, or once an agent that has just started knows us.
	denied
	// invalid: it says that the request is wrong, which asking again will not
	// change; only another configuration or another version of it can.
	invalid
	// unsupported: it does not know the profile. Only another server will.
	unsupported
	// deniedEarly: denied on a connection that is new. An agent that has just
	// started denies until it has heard from its server.
	deniedEarly

	classes = iota
)

// hopeful is how long a connection is new.
const hopeful = 10 * time.Second

// leastRetry is the least time between two attempts of which the second comes
// early because another profile has recovered.
const leastRetry = 100 * time.Millisecond

// classify returns the class of a gRPC status code. A stream that ended without
// an error (OK) is transient: it was to stay open.
func classify(code codes.Code) class {
	switch code {
	case codes.PermissionDenied:
		return denied
	case codes.InvalidArgument:
		return invalid
	case codes.Unimplemented:
		return unsupported
	default:
		return transient
	}
}

// settled is how long a stream or connection must have lived after its first
// answer before its end counts as the first failure again. Without it, a server
// that answers once and hangs up would be asked without pause.
const settled = 2 * time.Second

// A retrier says how long to wait after a failure. It knows no clock.
type retrier struct {
	byClass [classes]backoff.ExponentialBackOff
	goodAt  time.Time // of the first answer since the last failure; zero: none
}

// newRetrier returns the policy for streams and connections: 100 ms doubling to
// 15 s, after PermissionDenied 500 ms doubling to 5 s, but on a new connection
// 100 ms doubling to 250 ms, after InvalidArgument 5 s doubling to 5 min, each
// within 20 %. After Unimplemented it does not matter: only another connection is
// worth a try.
func newRetrier() *retrier {
	r := &retrier{}
	r.byClass[transient] = exponential(100*time.Millisecond, 15*time.Second)
	r.byClass[denied] = exponential(500*time.Millisecond, 5*time.Second)
	r.byClass[invalid] = exponential(5*time.Second, 5*time.Minute)
	r.byClass[unsupported] = r.byClass[invalid]
	r.byClass[deniedEarly] = exponential(100*time.Millisecond, 250*time.Millisecond)
	return r
}

// newTokenRetrier returns the policy for fetching one JWT-SVID: 1 s doubling to
// 30 s, within 20 %, whatever the failure, but for a denial on a new connection.
func newTokenRetrier() *retrier {
	r := &retrier{}
	for c := range r.byClass {
		r.byClass[c] = exponential(time.Second, 30*time.Second)
	}
	r.byClass[deniedEarly] = exponential(100*time.Millisecond, 250*time.Millisecond)
	return r
}

func exponential(first, most time.Duration) backoff.ExponentialBackOff {
	return backoff.ExponentialBackOff{InitialInterval: first, MaxInterval: most, Multiplier: 2, RandomizationFactor: 0.2}
}

// good notes an answer.
func (r *retrier) good(now time.Time) {
	if r.goodAt.IsZero() {
		r.goodAt = now
	}
}

// answered reports whether there was an answer since the last failure.
func (r *retrier) answered() bool { return !r.goodAt.IsZero() }

// failed notes a failure and returns how long to wait.
func (r *retrier) failed(c class, now time.Time) time.Duration {
	if !r.goodAt.IsZero() && now.Sub(r.goodAt) >= settled {
		r.reset()
	}
	r.goodAt = time.Time{}
	return r.byClass[c].NextBackOff()
}

// reset makes the next failure the first.
func (r *retrier) reset() {
	r.goodAt = time.Time{}
	for c := range r.byClass {
		r.byClass[c].Reset()
	}
}
