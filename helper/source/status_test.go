package source

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// manyTokens returns a board with n tokens.
func manyTokens(n int) (*board, []key) {
	b := newBoard("", (&logCounter{}).logger())
	var keys []key
	for i := range n {
		k := key{ProfileJWTSVID, jwtRequest("", fmt.Sprint(i))}
		b.add(k)
		b.good(k, b.storeToken(k.request, &snapshot.JWTSVID{}), nil)
		keys = append(keys, k)
	}
	return b, keys
}

// A status is taken for nothing while nothing changes, and never changes.
func TestAStatusIsOneValue(t *testing.T) {
	b, keys := manyTokens(100)
	first := b.status()
	if n := testing.AllocsPerRun(10, func() { b.status() }); n != 0 || b.status() != first {
		t.Errorf("%v allocations to read what did not change", n)
	}
	renewed := &snapshot.JWTSVID{}
	b.good(keys[7], b.storeToken(keys[7].request, renewed), nil)
	b.bad(keys[8], StateFailed, 0, fmt.Errorf("no"))
	second := b.status()
	if first.Snapshot.JWTSVIDs[keys[7].request] == renewed || first.Profiles[8].LastError != nil {
		t.Error("a status has changed")
	}
	if second.Snapshot.JWTSVIDs[keys[7].request] != renewed || second.Snapshot == first.Snapshot {
		t.Error("the token is not in the next status")
	}
	for i := range keys {
		if same := first.Profiles[i] == second.Profiles[i]; same == (second.Profiles[i].Request == keys[7].request || second.Profiles[i].Request == keys[8].request) {
			t.Errorf("profile %s: the same is %v", second.Profiles[i].Name(), same)
		}
	}
	b.bad(keys[9], StateFailed, 0, fmt.Errorf("no"))
	if b.status().Snapshot != second.Snapshot {
		t.Error("a failure made a new snapshot")
	}
}

// One of a thousand tokens is renewed, and everything is read.
func BenchmarkStatus(b *testing.B) {
	board, keys := manyTokens(1000)
	b.ReportAllocs()
	for b.Loop() {
		board.good(keys[500], board.storeToken(keys[500].request, &snapshot.JWTSVID{}), nil)
		board.status()
	}
}

func BenchmarkStatusUnchanged(b *testing.B) {
	board, _ := manyTokens(1000)
	b.ReportAllocs()
	for b.Loop() {
		board.status()
	}
}

// Whoever sees that everything has been answered may need more at once, and what
// answers that is not fatal.
func TestLenientFromTheLastAnswerOn(t *testing.T) {
	first, more := key{profile: ProfileX509SVID}, key{ProfileJWTSVID, jwtRequest("", "x")}
	for range 2000 {
		b := newBoard("", slog.New(slog.DiscardHandler))
		b.add(first)
		var answer sync.WaitGroup
		answer.Go(func() { b.good(first, nil, nil) })
		for b.status().Profiles[0].LastSuccess.IsZero() {
			runtime.Gosched()
		}
		b.add(more)
		answer.Wait()
		if !b.lenient(more) {
			t.Fatal("an answer ends what runs already")
		}
	}
}
