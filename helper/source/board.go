package source

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc/codes"
)

// A board is where the streams write what they know and everybody reads it: the
// snapshot and the status. It logs each change of state once, and says on
// updates that there is something new to read.
type board struct {
	log     *slog.Logger
	grace   time.Duration
	updates chan struct{} // capacity 1

	mu       sync.Mutex
	snapshot *snapshot.Snapshot // replaced, never changed
	conn     Connection
	records  map[key]*record
	complete bool
	// dispensable are the profiles that nothing depends on.
	dispensable []Profile
}

func newBoard(address string, grace time.Duration, log *slog.Logger) *board {
	return &board{
		log:     log,
		grace:   grace,
		updates: make(chan struct{}, 1),
		conn:    Connection{Address: address, Since: time.Now()},
		records: make(map[key]*record),
	}
}

// notify says that there is something new; nobody is waited for.
func (b *board) notify() {
	select {
	case b.updates <- struct{}{}:
	default:
	}
}

// add begins to follow a profile, unless it is followed already.
func (b *board) add(k key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records[k] != nil {
		return
	}
	b.records[k] = &record{ProfileStatus: ProfileStatus{
		Profile: k.profile, Request: k.request, State: StateConnecting, Since: time.Now(),
	}}
	b.notify()
}

// remove forgets a profile, if it is followed; clear takes its part out of the
// snapshot.
func (b *board) remove(k key, clear func(*snapshot.Snapshot)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[k]
	if r == nil {
		return
	}
	r.stopGrace()
	delete(b.records, k)
	if b.snapshot != nil {
		b.store(clear)
	}
	b.completed()
	b.notify()
}

// close stops every timer.
func (b *board) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.records {
		r.stopGrace()
	}
}

// store replaces the snapshot with a copy that change has been applied to.
func (b *board) store(change func(*snapshot.Snapshot)) {
	next := snapshot.Snapshot{}
	if b.snapshot != nil {
		next = *b.snapshot
	}
	change(&next)
	b.snapshot = &next
}

// completed notes when everything that is needed has been answered once. That
// cannot be undone: what is needed additionally later is not worth the end of
// what runs already.
func (b *board) completed() {
	if b.complete || len(b.records) == 0 {
		return
	}
	for _, r := range b.records {
		if r.LastSuccess.IsZero() && !slices.Contains(b.dispensable, r.Profile) {
			return
		}
	}
	b.complete = true
}

// lenient reports whether no answer to k is fatal: it has been answered before,
// or everything has that was needed at some time, so that something runs already
// and depends on it; or nothing ever will.
func (b *board) lenient(k key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[k]
	return b.complete || slices.Contains(b.dispensable, k.profile) || r != nil && !r.LastSuccess.IsZero()
}

// dispense sets the profiles that nothing depends on.
func (b *board) dispense(profiles []Profile) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dispensable = profiles
}

// attempted notes a stream opened or a fetch made.
func (b *board) attempted(k key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[k]
	if r == nil {
		return // not needed any more
	}
	r.Attempts++
	if r.State == StateConnecting {
		r.enter(StateWaiting)
		b.notify()
	}
}

// good notes a good answer; store, unless nil, puts what is new in it into the
// snapshot; refused, unless nil, is why a part of it was left out.
func (b *board) good(k key, store func(*snapshot.Snapshot), refused error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[k]
	if r == nil {
		return // not needed any more
	}
	worth := r.LastSuccess.IsZero() || r.LastError != nil
	before := r.Reason
	r.LastSuccess = time.Now()
	r.LastError, r.Code, r.Reason = nil, codes.OK, ""
	r.DeniedSince, r.Revoked = time.Time{}, time.Time{}
	r.stopGrace()
	if store != nil {
		b.store(store)
	}
	b.completed()
	if refused != nil {
		b.partly(r, refused, before)
		return
	}
	changed := r.enter(StateStreaming)
	if changed && worth {
		b.log.Info("receiving", r.attrs()...)
	}
	if changed || store != nil {
		b.notify()
	}
}

// partly notes that a part of a good answer was refused; before is the reason of
// the last refusal.
func (b *board) partly(r *record, refused error, before Reason) {
	var why *Rejection
	if errors.As(refused, &why) {
		r.Reason = why.Reason
	}
	r.LastError = refused
	r.rejected(r.Reason)
	if r.enter(StateRejected) || r.Reason != before {
		b.log.Warn("not receiving a part", append(r.attrs(), "error", refused)...)
	}
	b.notify()
}

// bad notes a failure: a refused answer or an error.
func (b *board) bad(k key, state State, code codes.Code, reason Reason, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[k]
	if r == nil {
		return // not needed any more
	}
	if reason != "" {
		r.rejected(reason)
	} else {
		r.Failures++
	}
	fresh := r.Code != code || r.Reason != reason
	r.LastError, r.Code, r.Reason = err, code, reason
	b.denial(r, state == StateDenied)
	if r.enter(state) || fresh {
		b.log.Warn("not receiving", append(r.attrs(), "error", err)...)
	}
	b.notify()
}

// lost notes that the connection is gone. The connection says so in the log.
func (b *board) lost(k key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[k]
	if r == nil {
		return // not needed any more
	}
	b.denial(r, false)
	if r.enter(StateConnecting) {
		b.notify()
	}
}

// denial follows a denial that goes on, or has ended without a good answer: an
// agent that restarts denies for a while, so each denial has a grace period of
// its own.
func (b *board) denial(r *record, denied bool) {
	switch {
	case !denied:
		r.stopGrace()
		if r.Revoked.IsZero() {
			r.DeniedSince = time.Time{}
		}
	case r.DeniedSince.IsZero():
		r.DeniedSince = time.Now()
		if r.Revoked.IsZero() {
			r.grace = time.AfterFunc(b.grace, func() { b.revoke(r) })
		}
	}
}

func (b *board) revoke(r *record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.DeniedSince.IsZero() || time.Since(r.DeniedSince) < b.grace || !r.Revoked.IsZero() {
		return // another answer came first
	}
	r.Revoked = time.Now()
	b.log.Error("identity refused for longer than the grace period", append(r.attrs(), "grace", b.grace)...)
	b.notify()
}

// connecting notes an attempt to connect.
func (b *board) connecting() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conn.Attempts++
}

func (b *board) connected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conn.Connects++
	b.conn.LastError = nil
	if !b.conn.Connected {
		b.conn.Connected, b.conn.Since = true, time.Now()
		b.log.Info("connected to the Workload API", "address", b.conn.Address)
		b.notify()
	}
}

// disconnected notes why there is no connection. It logs the end of one and
// each new cause.
func (b *board) disconnected(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ended := b.conn.Connected
	if ended {
		b.conn.Connected, b.conn.Since = false, time.Now()
	}
	fresh := ended || b.conn.LastError == nil || causeOf(b.conn.LastError) != causeOf(err)
	b.conn.LastError = err
	if fresh {
		b.log.Warn("not connected to the Workload API", "address", b.conn.Address, "error", err)
		b.notify()
	}
}

// status returns a copy of everything.
func (b *board) status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Status{Connection: b.conn, Profiles: make([]ProfileStatus, 0, len(b.records))}
	for _, r := range b.records {
		s.Profiles = append(s.Profiles, r.clone())
	}
	slices.SortFunc(s.Profiles, func(a, b ProfileStatus) int { return a.key().compare(b.key()) })
	return s
}

func (b *board) current() *snapshot.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshot
}
