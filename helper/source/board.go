package source

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc/codes"
)

// A board is where the streams write what they know, and where it is read: the
// snapshot and the status. It logs each change of state once, and says on
// updates that there is something new to read.
//
// A reader gets a value that never changes. It is made when it is read, if
// something has changed, of parts that are replaced and not changed: a thousand
// tokens that arrive one by one cost no thousand copies of a thousand tokens.
type board struct {
	log     *slog.Logger
	updates chan struct{} // capacity 1
	trouble chan struct{} // capacity 1: something has gone wrong

	mu      sync.Mutex
	latest  *Status            // nil: to be made
	current *snapshot.Snapshot // nil: to be made, or there is none
	parts   *snapshot.Snapshot // what it is made of, but for the tokens; nil: none
	tokens  map[snapshot.JWTRequest]*snapshot.JWTSVID
	conn    Connection
	records map[key]*ProfileStatus // each replaced, never changed
	keys    []key                  // of records, in order
	// depended: something runs that depends on the source.
	depended bool
	// dispensable are the profiles that nothing depends on.
	dispensable []Profile
	// recovery is closed when a profile gets its first good answer, or one after
	// a failure.
	recovery chan struct{}
}

func newBoard(address string, log *slog.Logger) *board {
	return &board{
		log:      log,
		updates:  make(chan struct{}, 1),
		trouble:  make(chan struct{}, 1),
		tokens:   make(map[snapshot.JWTRequest]*snapshot.JWTSVID),
		conn:     Connection{Address: address, Since: time.Now()},
		records:  make(map[key]*ProfileStatus),
		recovery: make(chan struct{}),
	}
}

// notify says that there is something new. It does not block.
func (b *board) notify() { poke(b.updates) }

// poke sends to a channel of capacity 1, unless it is full.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// status returns everything at this instant.
func (b *board) status() *Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.latest != nil {
		return b.latest
	}
	s := &Status{Connection: b.conn, Profiles: make([]*ProfileStatus, len(b.keys))}
	for i, k := range b.keys {
		s.Profiles[i] = b.records[k]
	}
	if b.current == nil && b.parts != nil {
		if b.parts.JWTSVIDs == nil {
			b.parts.JWTSVIDs = maps.Clone(b.tokens)
		}
		snap := *b.parts
		b.current = &snap
	}
	s.Snapshot = b.current
	b.latest = s
	return s
}

// change replaces a record with a copy that f has been applied to. It does
// nothing for a profile that is not needed any more.
func (b *board) change(k key, f func(*ProfileStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replace(k, f)
}

// replace is change for a caller that holds mu.
func (b *board) replace(k key, f func(*ProfileStatus)) {
	old := b.records[k]
	if old == nil {
		return
	}
	next := *old
	f(&next)
	b.records[k], b.latest = &next, nil
}

// add begins to follow a profile, unless it is followed already.
func (b *board) add(k key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records[k] != nil {
		return
	}
	b.records[k] = &ProfileStatus{Profile: k.profile, Request: k.request, State: StateConnecting, Since: time.Now()}
	i, _ := slices.BinarySearchFunc(b.keys, k, key.compare)
	b.keys, b.latest = slices.Insert(b.keys, i, k), nil
	b.notify()
}

// remove forgets a profile, if it is followed; clear takes its part out of the
// snapshot.
func (b *board) remove(k key, clear func(*snapshot.Snapshot)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records[k] == nil {
		return
	}
	delete(b.records, k)
	b.keys, b.latest = slices.DeleteFunc(b.keys, func(other key) bool { return other == k }), nil
	if b.parts != nil {
		clear(b.parts)
		b.current = nil
	}
	b.completed()
	b.notify()
}

// store puts what is new in a bad answer into the snapshot: that one identity is
// gone while the others are refused.
func (b *board) store(k key, store func(*snapshot.Snapshot)) {
	b.change(k, func(*ProfileStatus) { b.put(store) })
}

// put changes the parts of the snapshot, unless store is nil. The caller holds mu.
func (b *board) put(store func(*snapshot.Snapshot)) {
	if store == nil {
		return
	}
	if b.parts == nil {
		b.parts = new(snapshot.Snapshot)
	}
	store(b.parts)
	b.current = nil
}

// storeToken returns what puts a token into the snapshot; nil takes it out.
func (b *board) storeToken(r snapshot.JWTRequest, svid *snapshot.JWTSVID) func(*snapshot.Snapshot) {
	return func(parts *snapshot.Snapshot) {
		if b.tokens[r] = svid; svid == nil {
			delete(b.tokens, r)
		}
		parts.JWTSVIDs = nil // to be made
	}
}

// completed notes when everything that is needed has been answered once. That
// cannot be undone: what is needed additionally later is not worth the end of
// what runs already.
func (b *board) completed() {
	if b.depended || len(b.records) == 0 {
		return
	}
	for _, p := range b.records {
		if p.LastSuccess.IsZero() && !slices.Contains(b.dispensable, p.Profile) {
			return
		}
	}
	b.depended = true
}

// depend notes that something runs that depends on the source.
func (b *board) depend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.depended = true
}

// lenient reports whether no answer to k is fatal: something runs already that
// depends on us, or has come to by everything being answered, or k has been
// answered before; or nothing ever will depend on it.
func (b *board) lenient(k key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.records[k]
	return b.depended || slices.Contains(b.dispensable, k.profile) || p != nil && !p.LastSuccess.IsZero()
}

// dispense sets the profiles that nothing depends on.
func (b *board) dispense(profiles []Profile) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dispensable = profiles
}

// recovered returns what is closed at the next recovery of a profile.
func (b *board) recovered() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.recovery
}

// attempted notes a stream opened or a fetch made.
func (b *board) attempted(k key) {
	b.change(k, func(p *ProfileStatus) {
		p.Attempts++
		if p.State == StateConnecting {
			p.enter(StateWaiting)
			b.notify()
		}
	})
}

// good notes a good answer; store, unless nil, puts what is new in it into the
// snapshot; refused, unless nil, is why a part of it was left out.
func (b *board) good(k key, store func(*snapshot.Snapshot), refused error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Who sees that the last answer has come may need more at once, so that is
	// one change with completed.
	defer b.completed()
	b.replace(k, func(p *ProfileStatus) {
		worth := p.LastSuccess.IsZero() || p.LastError != nil
		// Another identity may have come, or come back.
		another := store != nil && (k.profile == ProfileX509SVID || k.profile == ProfileWITSVID)
		recovered := another || p.LastSuccess.IsZero() || p.State != StateStreaming && p.State != StateRejected
		before := p.Reason
		p.LastSuccess = time.Now()
		p.LastError, p.Code, p.Reason = nil, codes.OK, ""
		p.denied(false)
		b.put(store)
		if recovered {
			close(b.recovery)
			b.recovery = make(chan struct{})
		}
		if refused != nil {
			b.partly(p, refused, before)
			return
		}
		changed := p.enter(StateStreaming)
		if changed && worth {
			b.log.Info("receiving", p.attrs()...)
		}
		if changed || store != nil {
			b.notify()
		}
	})
}

// partly notes that a part of a good answer was refused; before is the reason of
// the last refusal.
func (b *board) partly(p *ProfileStatus, refused error, before Reason) {
	p.LastError, p.Reason = refused, reasonOf(refused)
	p.rejected(p.Reason)
	if p.Reason == ReasonAuthority { // the issuer's affair: all that can be used is
		if changed := p.enter(StateStreaming); changed || p.Reason != before {
			b.log.Warn("a part of a bundle is ignored", append(p.attrs(), "error", refused)...)
			b.notify()
		}
		return
	}
	if p.enter(StateRejected) || p.Reason != before {
		b.log.Warn("a part of the answer was refused, the last good one stays", append(p.attrs(), "error", refused)...)
	}
	poke(b.trouble)
	b.notify()
}

// reasonOf returns the reason of a refusal; of another error, none.
func reasonOf(err error) Reason {
	var why *Rejection
	if errors.As(err, &why) {
		return why.Reason
	}
	return ""
}

// bad notes a failure: a refused answer or an error.
func (b *board) bad(k key, state State, code codes.Code, err error) {
	b.change(k, func(p *ProfileStatus) {
		reason := reasonOf(err)
		if reason != "" {
			p.rejected(reason)
		} else {
			p.Failures++
		}
		fresh := p.Code != code || p.Reason != reason
		p.LastError, p.Code, p.Reason = err, code, reason
		p.denied(state == StateDenied)
		if p.enter(state) || fresh {
			b.log.Warn("not receiving", append(p.attrs(), "error", explainFailure(p))...)
		}
		poke(b.trouble)
		b.notify()
	})
}

// lost notes that the connection is gone. The connection says so in the log.
func (b *board) lost(k key) {
	b.change(k, func(p *ProfileStatus) {
		p.denied(false)
		if p.enter(StateConnecting) {
			b.notify()
		}
	})
}
