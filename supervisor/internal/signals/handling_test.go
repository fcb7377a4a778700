package signals

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// Who has no handler yet gets his time, of which none counts in which nobody got
// to run: a machine that is held for a second goes on with all that was to
// happen in it, in any order.
func TestPatienceIsTheProcessesOwnTime(t *testing.T) {
	for seen, want := range map[Handling]time.Duration{
		HandlingUnseen:  BlindPatience,
		HandlingGo:      BlindPatience,
		HandlingBash:    BlindPatience,
		HandlingPartial: partialLong,
		HandlingBlocked: blockedLong,
		HandlingUnclear: unclearLong,
		HandlingBuiltIn: HandlerPatience,
		HandlingJVM:     HandlerPatience,
	} {
		// patience is how long it takes if the look after the second is late.
		patience := func(late time.Duration) time.Duration {
			var w Watch
			at := noon
			for looks := 1; ; looks++ {
				var v Verdict
				var again time.Time
				if w, v, again = w.Look(seen, noon, at); v == VerdictSend {
					return at.Sub(noon)
				}
				if at = again; looks == 2 {
					at = at.Add(late)
				}
			}
		}
		if got := patience(0); got < want || got >= want+longestPoll {
			t.Errorf("handling %d: %v, want %v", seen, got, want)
		}
		if seen == HandlingUnseen || want == HandlerPatience {
			continue // they count from the start, which nobody was there to see
		}
		const held = 3 * time.Second
		if got := patience(held); got < want+held-blockedPoll {
			t.Errorf("handling %d: %v in a machine that was held for %v, want %v more", seen, got, held, want)
		}
	}
}
