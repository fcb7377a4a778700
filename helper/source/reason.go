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
	ReasonNotYetValid        Reason = "not_yet_valid"        // before its start: one of the clocks is wrong
	ReasonTime               Reason = "time"                 // a time beyond the year 9999, which no JSON can say
	ReasonNoBundle           Reason = "no_bundle"            // missing or empty
	ReasonChain              Reason = "chain"                // does not verify against its bundle
	ReasonForeignTrustDomain Reason = "foreign_trust_domain" // the SVID belongs to another trust domain than its entry says
	ReasonIDMismatch         Reason = "id_mismatch"          // the SVID has another SPIFFE ID than asked for or announced
	ReasonHint               Reason = "hint"                 // too long
	ReasonAudience           Reason = "audience"             // the token lacks an audience that was asked for
	ReasonAuthority          Reason = "authority"            // a key of a JWKS that is none for us: ignored
	ReasonTooMany            Reason = "too_many"             // more SVIDs, bundles or authorities than we look at
	ReasonAbsent             Reason = "absent"               // a good answer, without the SVID that was asked for
)

// A Rejection is an answer, or a part of one, that failed a check.
type Rejection struct {
	Reason Reason
	text   string
	// from is when the same answer is good; zero: never, or unknown.
	from time.Time
}

func (r *Rejection) Error() string { return r.text }

// reject returns a Rejection whose text is formatted as by fmt.Errorf, made
// printable and short: it quotes an answer. Keys and tokens have no place in it.
func reject(reason Reason, format string, args ...any) error {
	return &Rejection{Reason: reason, text: sentence(fmt.Errorf(format, args...).Error())}
}

// refusals are what was refused of one answer. They are counted and not
// collected.
type refusals struct {
	first *Rejection
	count int
}

func (r *refusals) add(err error) {
	if err == nil {
		return
	}
	if r.count++; r.first == nil {
		errors.As(err, &r.first)
	}
}

// merge adds what others has.
func (r *refusals) merge(others refusals) {
	if r.first == nil {
		r.first = others.first
	}
	r.count += others.count
}

// err returns the first refusal, which says how many more there are; nil if
// there is none.
func (r *refusals) err() error {
	switch {
	case r.first == nil:
		return nil
	case r.count == 1:
		return r.first
	}
	return &Rejection{r.first.Reason, fmt.Sprintf("%s (and %d more)", r.first.text, r.count-1), r.first.from}
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

// lastSecond is the last that JSON and ASN.1 can say: RFC 3339 and RFC 5280 have
// four digits for the year.
var lastSecond = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
