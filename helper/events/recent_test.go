package events

import (
	"fmt"
	"log/slog"
	"testing"
)

// TestRecentEventsAreFewAndSmall: without a file, too.
func TestRecentEventsAreFewAndSmall(t *testing.T) {
	s := New("", slog.New(slog.DiscardHandler))
	for i := range 10 * maxRecent {
		s.Note(Event{Event: Published, Output: fmt.Sprint(i), Files: make([]string, 1000), Identities: make([]Identity, 1000)})
	}
	recent := s.Recent()
	if len(recent) != maxRecent || recent[0].Output != fmt.Sprint(9*maxRecent) || recent[maxRecent-1].Output != fmt.Sprint(10*maxRecent-1) {
		t.Errorf("%d events, from %q", len(recent), recent[0].Output)
	}
	for _, e := range recent {
		if cap(e.Files) > 2*maxNamed || cap(e.Identities) > 2*maxNamed || e.Time.IsZero() {
			t.Fatalf("room for %d files and %d identities, at %v", cap(e.Files), cap(e.Identities), e.Time)
		}
	}
}
