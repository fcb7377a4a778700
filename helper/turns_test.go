package helper

import (
	"fmt"
	"testing"
	"time"
)

// TestTurns: in order, each when the target has been told, cannot be, or takes
// too long.
func TestTurns(t *testing.T) {
	begin := time.Now()
	late := begin.Add(turnPatience)
	for _, c := range []struct {
		name string
		p    progress
		at   time.Time
		want string
		next time.Time
	}{
		{"not told", progress{asked: 2}, begin, "[]", late},
		{"told of the first", progress{asked: 2, delivered: 1}, begin, "[a]", late},
		{"told of both", progress{asked: 2, delivered: 2}, begin, "[a b]", time.Time{}},
		{"stuck", progress{asked: 2, stuck: "no handler"}, begin, "[a b]", time.Time{}},
		{"late", progress{asked: 2}, late, "[a b]", time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var q turns
			ran := []string{}
			for i, name := range []string{"a", "b"} {
				q.add(turn{asked: uint64(i + 1), until: late, run: func() { ran = append(ran, name) }})
			}
			if next := q.take(c.p, c.at); next != c.next {
				t.Errorf("look again at %v, want %v", next, c.next)
			}
			if got := fmt.Sprint(ran); got != c.want {
				t.Errorf("ran %s, want %s", got, c.want)
			}
		})
	}
}
