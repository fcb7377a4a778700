package notify

import (
	"fmt"
	"testing"
	"time"
)

// TestAfter: calls are made in order, each when the process has been told, cannot
// be told, or takes too long.
func TestAfter(t *testing.T) {
	begin := time.Now()
	late := begin.Add(afterPatience)
	for _, c := range []struct {
		name string
		p    progress
		at   time.Time
		want string
	}{
		{"not told", progress{asked: 2}, begin, "[]"},
		{"told of the first", progress{asked: 2, delivered: 1}, begin, "[a]"},
		{"told of both", progress{asked: 2, delivered: 2}, begin, "[a b]"},
		{"stuck", progress{asked: 2, stuck: "no handler"}, begin, "[a b]"},
		{"late", progress{asked: 2}, late, "[a b]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a after
			ran := []string{}
			for i, name := range []string{"a", "b"} {
				a.waiting = append(a.waiting, waiting{asked: uint64(i + 1), until: late, call: func() { ran = append(ran, name) }})
			}
			for w, ok := a.take(c.p, c.at); ok; w, ok = a.take(c.p, c.at) {
				w.call()
			}
			if got := fmt.Sprint(ran); got != c.want {
				t.Errorf("ran %s, want %s", got, c.want)
			}
		})
	}
}
