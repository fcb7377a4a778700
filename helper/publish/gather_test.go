package publish

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
)

// TestGather: what comes one upon another is one publish, what is urgent is one
// of its own, and nothing waits for long.
func TestGather(t *testing.T) {
	for name, c := range map[string]struct {
		every  time.Duration // between updates
		urgent int           // the update that is, from 0 on; -1: none
		want   time.Duration
	}{
		"a token alone":         {time.Hour, -1, nextToken},
		"one upon another":      {nextToken / 2, -1, allTokens},
		"an identity":           {nextToken / 2, 0, 0},
		"tokens, then identity": {nextToken / 2, 3, 3 * nextToken / 2},
		"further apart":         {2 * nextToken, -1, nextToken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				updates := make(chan struct{}, 1)
				more := time.NewTicker(c.every)
				defer more.Stop()
				go func() {
					for range 100 {
						select {
						case <-t.Context().Done():
							return
						case <-more.C:
						}
						select {
						case updates <- struct{}{}:
						default:
						}
					}
				}()
				began, n := time.Now(), -1
				gather(t.Context(), updates, func() bool { n++; return n == c.urgent })
				if took := time.Since(began); took != c.want {
					t.Errorf("it waited %v, want %v", took, c.want)
				}
			})
		})
	}
}

// TestUrgent: only tokens wait for each other, and not the last of them.
func TestUrgent(t *testing.T) {
	x509, other := &snapshot.X509{}, &snapshot.X509{}
	status := func(x *snapshot.X509, awaited bool) *source.Status {
		p := &source.ProfileStatus{Profile: source.ProfileJWTSVID}
		if !awaited {
			p.LastSuccess = time.Now()
		}
		return &source.Status{Snapshot: &snapshot.Snapshot{X509: x}, Profiles: []*source.ProfileStatus{p}}
	}
	for name, c := range map[string]struct {
		before, now *source.Status
		want        bool
	}{
		"the first answer":            {&source.Status{}, status(x509, true), true},
		"another X.509-SVID":          {status(x509, false), status(other, false), true},
		"a token of several":          {status(x509, true), status(x509, true), false},
		"the last token":              {status(x509, true), status(x509, false), true},
		"a token that is renewed":     {status(x509, false), status(x509, false), false},
		"nothing has been heard yet":  {&source.Status{}, &source.Status{}, false},
		"a first token, and no X.509": {&source.Status{}, status(nil, true), false},
	} {
		if got := urgent(c.before, c.now); got != c.want {
			t.Errorf("%s: urgent is %v", name, got)
		}
	}
}
