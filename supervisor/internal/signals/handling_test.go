package signals

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// How long a process of which only that is seen is left alone.
func TestWatchWaits(t *testing.T) {
	for _, c := range []struct {
		what string
		seen Handling
		age  time.Duration // at the first look
		want time.Duration // until the verdict
		v    Verdict
	}{
		{"a handler", Caught, 0, 0, Send},
		{"nothing can be seen, at the start", Unseen, 0, time.Second, Send},
		{"nothing can be seen, after an hour", Unseen, time.Hour, 0, Send},
		{"a runtime's handlers, one after the other", Busy, time.Hour, time.Second, Send},
		{"a Go program that has asked for no signal", Runtime, 0, time.Second, Send},
		{"blocked for long", Blocked, time.Hour, 100 * time.Millisecond, Send},
		{"no handler, at the start", Default, 0, 10 * time.Second, Never},
		{"no handler, after an hour", Default, time.Hour, 0, Never},
		{"ignored, after an hour", Ignored, time.Hour, 0, Never},
	} {
		var w Watch
		looks := 0
		for at := noon; ; looks++ {
			var v Verdict
			var next time.Time
			w, v, next = w.Look(c.seen, noon.Add(-c.age), at)
			if v == Wait {
				if !next.After(at) {
					t.Fatalf("%s: the next look is not later", c.what)
				}
				at = next
				continue
			}
			if got := at.Sub(noon); v != c.v || got < c.want || got > c.want+longestPoll {
				t.Errorf("%s: verdict %d after %v, want %d after %v", c.what, v, got, c.v, c.want)
			}
			break
		}
		if looks > 150 {
			t.Errorf("%s: %d looks", c.what, looks)
		}
	}
}

func TestWatchRemembers(t *testing.T) {
	look := func(w Watch, seen Handling, at time.Time) (Watch, Verdict) {
		w, v, _ := w.Look(seen, noon, at)
		return w, v
	}
	// A server that is busy at the moment of a look has its handler all the same.
	w, _ := look(Watch{}, Caught, noon)
	if _, v := look(w, Busy, noon.Add(time.Millisecond)); v != Send {
		t.Error("a busy process whose handler was seen has to wait")
	}
	// A program that executes another one starts anew.
	w, _ = look(w, Default, noon.Add(time.Second))
	if _, v := look(w, Busy, noon.Add(2*time.Second)); v != Wait {
		t.Error("the first handler of another program is trusted at once")
	}
	// One that is blocked now and then, as around each fork, does not take it
	// from a queue.
	w, _ = look(Watch{}, Blocked, noon)
	w, _ = look(w, Default, noon.Add(time.Second))
	if _, v := look(w, Blocked, noon.Add(2*time.Second)); v != Wait {
		t.Error("a signal that is blocked for a moment is sent")
	}
}
