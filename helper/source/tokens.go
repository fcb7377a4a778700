package source

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// JWT-SVIDs are fetched a few at a time. A fetch that has gone on for slow does
// not count any more, so that audiences that hang do not hold the others up; but
// there is an end to that too, for the sake of the server.
const (
	maxFetches = 8  // that are not slow
	maxPending = 64 // in all
	slow       = time.Second
)

// soonest is the least time between two fetches of one token, however short
// its life.
const soonest = time.Second

// renewal returns when a token is to be renewed: after half of its remaining
// life, within 10 %, so that tokens that were fetched together spread. random
// is in [0, 1). It is a moment of the wall clock, which a step of that clock, or a
// machine that was asleep, may have passed earlier than a timer.
func renewal(expiry, now time.Time, random float64) time.Time {
	half := float64(expiry.Sub(now)) / 2
	return wall(now).Add(max(time.Duration(half*(0.9+0.2*random)), soonest))
}

// again returns when to ask once more after an answer with the token that is there
// already: SPIRE's agent hands out its own until about half of its life.
func again(expiry, now time.Time) time.Time {
	return wall(now).Add(max(expiry.Sub(now)/10, soonest))
}

// wall returns t without the reading of the monotonic clock, so that comparisons
// are of the wall clock's time.
func wall(t time.Time) time.Time { return t.Round(0) }

// tokens keeps the JWT-SVIDs fresh. One goroutine owns the schedule.
type tokens struct {
	board *board
	conn  *connection
	fatal func(error)

	requests chan []snapshot.JWTRequest // what is needed from now on
	results  chan fetched
	entries  map[snapshot.JWTRequest]*token
	running  map[*token]time.Time // when each fetch that is under way began
	workers  sync.WaitGroup
}

// A token is one request in the schedule.
type token struct {
	request snapshot.JWTRequest
	svid    *snapshot.JWTSVID // the last good one
	retry   *retrier
	failing bool
	due     time.Time          // by the wall clock
	tried   time.Time          // when the last fetch began
	cancel  context.CancelFunc // of the fetch that is under way, or nil
}

// A fetched is the result of one fetch.
type fetched struct {
	token *token
	link  *link
	svid  *snapshot.JWTSVID
	err   error
}

func newTokens(b *board, c *connection, fatal func(error)) *tokens {
	return &tokens{
		board: b, conn: c, fatal: fatal,
		requests: make(chan []snapshot.JWTRequest),
		results:  make(chan fetched, maxPending),
		entries:  make(map[snapshot.JWTRequest]*token),
		running:  make(map[*token]time.Time),
	}
}

// need sets what is needed from now on.
func (t *tokens) need(ctx context.Context, requests []snapshot.JWTRequest) {
	select {
	case t.requests <- requests:
	case <-ctx.Done():
	}
}

// run fetches what is due until ctx ends.
func (t *tokens) run(ctx context.Context) {
	defer t.workers.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var l *link
	recovered := t.board.recovered()
	for {
		timer.Stop()
		var links <-chan *link
		var gone <-chan struct{}
		if l != nil {
			gone = l.gone
			now := wall(time.Now())
			if next := t.start(ctx, l, now); !next.IsZero() {
				timer.Reset(next.Sub(now))
			}
		} else if len(t.entries) > 0 {
			links = t.conn.links
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case l = <-links:
		case requests := <-t.requests:
			t.reconcile(requests)
		case r := <-t.results:
			t.apply(ctx, r)
		case <-recovered:
			recovered = t.board.recovered()
			t.awaken(wall(time.Now()))
		case <-gone:
			l = nil
			t.hasten(ctx, wall(time.Now()))
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// start begins the fetches that are due, those that waited longest first. It
// returns when there is more to begin; zero if something has to come first.
func (t *tokens) start(ctx context.Context, l *link, now time.Time) (next time.Time) {
	for !l.isGone() {
		e := t.first()
		if e == nil {
			return time.Time{}
		}
		if e.due.After(now) {
			return e.due
		}
		if free := t.free(now); free.After(now) || free.IsZero() {
			return free
		}
		fetchCtx, cancel := context.WithCancel(ctx)
		e.cancel, e.tried = cancel, now
		t.running[e] = now
		prev := e.svid
		t.workers.Go(func() {
			defer cancel()
			t.results <- t.fetch(fetchCtx, l, e, prev)
		})
	}
	return time.Time{}
}

// free returns when another fetch may begin: now, or when one of those under way
// has become slow, or zero, when one has ended.
func (t *tokens) free(now time.Time) time.Time {
	if len(t.running) >= maxPending {
		return time.Time{}
	}
	count, first := 0, now.Add(slow)
	for _, began := range t.running {
		if until := began.Add(slow); until.After(now) {
			count++
			if until.Before(first) {
				first = until
			}
		}
	}
	if count < maxFetches {
		return now
	}
	return first
}

// first returns the token that is due first among those not being fetched.
func (t *tokens) first() *token {
	var first *token
	for _, e := range t.entries {
		if e.cancel == nil && (first == nil || e.due.Before(first.due)) {
			first = e
		}
	}
	return first
}

// fetch fetches and checks one token.
func (t *tokens) fetch(ctx context.Context, l *link, e *token, prev *snapshot.JWTSVID) fetched {
	t.board.attempted(key{ProfileJWTSVID, e.request})
	silent := fmt.Errorf("%w within %s", errNoAnswer, answerTimeout)
	ctx, cancel := context.WithTimeoutCause(withHeader(ctx), answerTimeout, silent)
	defer cancel()
	req := &workload.JWTSVIDRequest{Audience: e.request.Audience()}
	if !e.request.ID.IsZero() {
		req.SpiffeId = e.request.ID.String()
	}
	resp, err := l.api.FetchJWTSVID(ctx, req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		} else if fromServer(err) {
			l.answered(time.Now())
		}
		return fetched{token: e, link: l, err: err}
	}
	now := time.Now()
	l.answered(now)
	svid, err := parseJWT(resp, e.request, prev, now)
	return fetched{token: e, link: l, svid: svid, err: err}
}

// apply notes a result and schedules what follows from it.
func (t *tokens) apply(ctx context.Context, r fetched) {
	delete(t.running, r.token)
	e, k := r.token, key{ProfileJWTSVID, r.token.request}
	e.cancel = nil
	if t.entries[e.request] != e || ctx.Err() != nil {
		return // not needed any more
	}
	now := wall(time.Now())
	switch {
	case r.err == nil:
		t.good(e, r.svid, now)
		return
	case r.link.isGone():
		t.board.lost(k)
		e.due = now
		return
	}
	c := report(t.board, k, r.err, t.fatal)
	e.failing = true
	e.due = now.Add(e.retry.failed(c, now))
	switch c {
	case unsupported:
		e.due = now.Add(never)
	case transient, denied:
		t.probe(e, now, c == denied && now.Sub(r.link.made) < hopeful)
	}
}

// never is further away than any wait.
const never = 100 * 365 * 24 * time.Hour

// good stores a token and schedules its renewal.
func (t *tokens) good(e *token, svid *snapshot.JWTSVID, now time.Time) {
	k := key{ProfileJWTSVID, e.request}
	if svid == e.svid {
		t.board.good(k, nil, nil)
		e.due = again(svid.Expiry, now)
	} else {
		t.board.good(k, t.board.storeToken(e.request, svid), nil)
		e.due = renewal(svid.Expiry, now, rand.Float64())
	}
	e.svid, e.failing = svid, false
	e.retry.reset()
}

// hasten makes due what has failed: it is worth a try on the next link.
func (t *tokens) hasten(ctx context.Context, now time.Time) {
	if ctx.Err() != nil {
		return // the end takes the link along
	}
	for _, e := range t.entries {
		if e.failing && e.cancel == nil {
			t.board.lost(key{ProfileJWTSVID, e.request})
			e.due = now
		}
	}
}

// reconcile adds and drops requests; those that stay are not disturbed.
func (t *tokens) reconcile(requests []snapshot.JWTRequest) {
	wanted := make(map[snapshot.JWTRequest]bool, len(requests))
	for _, r := range requests {
		wanted[r] = true
		t.board.add(key{ProfileJWTSVID, r})
		if t.entries[r] == nil {
			t.entries[r] = &token{request: r, retry: newTokenRetrier(), due: wall(time.Now())}
		}
	}
	for r, e := range t.entries {
		if !wanted[r] {
			if e.cancel != nil {
				e.cancel()
			}
			delete(t.entries, r)
		}
	}
	for _, p := range t.board.status().Profiles {
		if p.Profile == ProfileJWTSVID && !wanted[p.Request] {
			t.board.remove(p.key(), t.board.storeToken(p.Request, nil))
		}
	}
}
