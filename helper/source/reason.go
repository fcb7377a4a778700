package source

import (
	"errors"
	"fmt"
	"time"
)

// Reason says in one word why an answer was refused; it labels counters.
type Reason string

// The reasons.
const (
	ReasonNoSVIDs            Reason = "no_svids"             // none in the answer
	ReasonGarbage            Reason = "garbage"              // does not parse
	ReasonInvalidSVID        Reason = "invalid_svid"         // parses, but is not an SVID by its standard
	ReasonKeyMismatch        Reason = "key_mismatch"         // the private key is another's
	ReasonExpired            Reason = "expired"              // past its end
	ReasonNotYetValid        Reason = "not_yet_valid"        // before its start: somebody's clock is wrong
	ReasonNoBundle           Reason = "no_bundle"            // missing or empty
	ReasonChain              Reason = "chain"                // does not verify against its bundle
	ReasonForeignTrustDomain Reason = "foreign_trust_domain" // the SVID belongs to another trust domain than its entry says
	ReasonIDMismatch         Reason = "id_mismatch"          // the SVID has another SPIFFE ID than asked for or announced
	ReasonHint               Reason = "hint"                 // too long, or the wanted one is missing
	ReasonAudience           Reason = "audience"             // the token lacks an audience that was asked for
)

// A Rejection is an answer that failed a check.
type Rejection struct {
	Reason Reason
	Err    error
	// from is when the same answer is good; zero: never, or unknown.
	from time.Time
}

func (r *Rejection) Error() string { return r.Err.Error() }

func (r *Rejection) Unwrap() error { return r.Err }

// reject returns a Rejection whose text is formatted as by fmt.Errorf. Keys and
// tokens have no place in it.
func reject(reason Reason, format string, args ...any) error {
	return &Rejection{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// recheck returns how long to wait before an answer that was refused is asked
// for again: as long as the policy says, or until the same one is good.
func recheck(err error, policy time.Duration, now time.Time) time.Duration {
	const least = 10 * time.Millisecond // a clock may be set back
	var r *Rejection
	if errors.As(err, &r) && !r.from.IsZero() {
		return min(policy, max(r.from.Sub(now), least))
	}
	return policy
}
