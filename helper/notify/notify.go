// Package notify tells the process and the hooks of rotations, and has the proof
// looked for that each rotation arrived.
//
// Both are targets: they are told of a change (Tell), which never blocks, and
// their own goroutines see to the rest. What is noted of each is in its Status
// and in the event stream.
//
// It promises that a target is told at least once after the last change that
// concerns it, or that its Status says why not; that hooks hear of a change
// after a process that a rotation starts (what it prepares, a pid file say, may
// be for them); and that a service that never serves what was published shows in
// its Proof, whatever came between.
//
// It does not promise one notification a change: changes that come while a
// target is busy are one to it.
package notify

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A target is what the process and a hook have in common: a channel through
// which it is told, and perhaps a proof.
type target struct {
	name   string
	on     snapshot.Kind
	line   line
	proof  *proofRunner // nil: none
	events *events.Stream
	pushes pushes
	number atomic.Uint64 // of the last change that it was told of
	// arrived hears of each change up to which everything has arrived.
	arrived func(name string, number uint64)
	// followed, unless nil, is called by follow after each change of progress.
	followed func(progress)
	wake     chan struct{} // capacity 1: followed has something to look at
}

// A line leads to a process or to a hook.
type line interface {
	// updates hears that progress has changed.
	updates() <-chan struct{}
	progress() progress
	// heard withdraws what an escalation has asked for.
	heard()
}

// progress is how far a target's notifications have come.
type progress struct {
	asked, delivered uint64
	at               time.Time // when the last one was delivered
	stuck            string    // why the next one cannot be; empty if it can
}

// follow notes each notification that has reached the target, and each reason
// why one has not, until ctx ends.
func (t *target) follow(ctx context.Context) {
	var last progress
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.line.updates():
		case <-t.wake:
		}
		t.events.Stir()
		now := t.line.progress()
		if now.delivered > last.delivered {
			took := t.pushes.reached(now.delivered, now.at)
			t.events.Note(events.Event{Time: now.at, Event: events.Notified, Target: t.name, Rotations: now.delivered, Latency: took.Seconds()})
		}
		if now.stuck != "" && now.stuck != last.stuck {
			t.events.Note(events.Event{Event: events.Failed, Failed: "notify", Target: t.name, Error: now.stuck})
		}
		last = now
		if t.proof != nil {
			t.proof.progressed()
		}
		if t.followed != nil {
			t.followed(now)
		}
		t.reportArrival()
	}
}

// look makes follow look again. It never blocks.
func (t *target) look() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// tell has the target told of a change by call.
func (t *target) tell(c publish.Change, call func()) {
	t.pushes.came(t.line.progress().asked+1, c.Pushed)
	call()
	t.prove(c)
	t.number.Store(c.Number)
	t.look()
}

// reportArrival says that everything up to the last change has arrived, once it has.
// The number is read first: a change that comes in between is not taken for arrived.
func (t *target) reportArrival() {
	number := t.number.Load()
	p := t.line.progress()
	if number > 0 && p.delivered == p.asked && p.stuck == "" && t.proof.settled() {
		t.arrived(t.name, number)
	}
}

// toldStatus is how soon the target hears of what comes.
func (t *target) toldStatus() ToldStatus { return ToldStatus{t.name, t.pushes.latencies()} }

// prove has the proof of what a change left on disk looked for, if there is one
// to look for.
func (t *target) prove(c publish.Change) {
	if t.proof != nil {
		t.proof.expect(c)
	}
}

// run runs a target's own part with what goes on beside it, and returns as that
// part does.
func (t *target) run(ctx context.Context, own func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { t.follow(ctx) })
	if t.proof != nil {
		beside.Go(func() { t.proof.run(ctx) })
	}
	err := own(ctx)
	stop()
	beside.Wait()
	return err
}
