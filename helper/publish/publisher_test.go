package publish

import (
	"testing"
	"time"
)

// TestTroublePauses: what is in trouble for seconds is tried again within a second,
// and what is so for days is left in peace.
func TestTroublePauses(t *testing.T) {
	for lasted, want := range map[time.Duration]time.Duration{
		0: 400 * time.Millisecond, 10 * time.Second: 400 * time.Millisecond, 10 * time.Minute: 10 * time.Second, 24 * time.Hour: 30 * time.Second,
	} {
		if got := republish(lasted); got != want {
			t.Errorf("after %v the pause is %v, want %v", lasted, got, want)
		}
	}
}
