package source

import (
	"context"
	"time"
)

// remindEvery is how often the log says again what is wrong: a person who looks
// into it should not have to find the line of hours ago.
const remindEvery = 5 * time.Minute

// remind says so while it lasts, until ctx ends. While all is well, no timer runs.
func (b *board) remind(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.trouble:
		}
		for lasts := true; lasts; {
			timer := time.NewTimer(remindEvery)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			problem := b.status().Problem()
			if lasts = problem != ""; lasts {
				b.log.Warn("still not receiving everything", "since", b.status().troubled(), "error", problem)
			}
		}
	}
}

// troubled returns since when something is wrong.
func (s *Status) troubled() time.Time {
	if !s.Connection.Connected {
		return s.Connection.Since
	}
	var since time.Time
	for _, p := range s.failing() {
		if since.IsZero() || p.Since.Before(since) {
			since = p.Since
		}
	}
	return since
}
