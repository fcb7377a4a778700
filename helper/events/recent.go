package events

import (
	"slices"
	"sync"
)

// What bounds the recent events: how many there are, and how many files and
// identities each of them names.
const (
	maxRecent = 64
	maxNamed  = 8
)

// recent are the last events. The zero value is ready.
type recent struct {
	mu     sync.Mutex
	events []Event // the oldest first
}

func (r *recent) add(e Event) {
	e.Files = slices.Clone(e.Files[:min(len(e.Files), maxNamed)]) // what is left out must not stay in memory
	e.Identities = slices.Clone(e.Identities[:min(len(e.Identities), maxNamed)])
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == maxRecent {
		r.events = slices.Delete(r.events, 0, 1)
	}
	r.events = append(r.events, e)
}

// Recent returns the last 64 events, the oldest first, whether a file has them or
// not. Of the files and identities of each it has the first eight.
func (s *Stream) Recent() []Event {
	s.recent.mu.Lock()
	defer s.recent.mu.Unlock()
	return slices.Clone(s.recent.events)
}
