package helper

import (
	"log/slog"
	"time"

	"github.com/svidhelper/svidhelper/helper/source"
)

// defaultGrace is how long a denial must last before it counts, unless
// configured.
const defaultGrace = 30 * time.Second

// A graceKeeper says which denials have lasted for the grace period. Once one
// has, it counts until the next good answer, whatever else happens to the
// connection.
type graceKeeper struct {
	log    *slog.Logger
	counts map[string]time.Time // by the profile's name: since when a denial counts
}

// revoked returns the profiles whose denial counts now, and when the next one
// will; zero: none is under way.
func (g *graceKeeper) revoked(s *source.Status, grace time.Duration, now time.Time) (revoked []*source.ProfileStatus, next time.Time) {
	if grace == 0 {
		grace = defaultGrace
	}
	still := make(map[string]time.Time)
	for _, p := range s.Profiles {
		since, counts := g.counts[p.Name()]
		counts = counts && p.LastSuccess.Before(since)
		if end := p.DeniedSince.Add(grace); !counts && !p.DeniedSince.IsZero() {
			if counts = !now.Before(end); counts {
				since = now
				g.log.Error("identity refused for longer than the grace period", "profile", p.Name(), "grace", grace)
			} else if next.IsZero() || end.Before(next) {
				next = end
			}
		}
		if counts {
			still[p.Name()] = since
			revoked = append(revoked, p)
		}
	}
	g.counts = still
	return revoked, next
}
