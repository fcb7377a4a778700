package devapi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// history is what clients have done so far.
type history struct {
	attempts    map[RPC][]time.Time
	sent        map[RPC]int
	connections []time.Time
	closed      int
}

func (h *history) attempt(rpc RPC, at time.Time) {
	set(&h.attempts, rpc, append(h.attempts[rpc], at))
}

func (h *history) connect(at time.Time) { h.connections = append(h.connections, at) }
func (h *history) disconnect()          { h.closed++ }

// Counts are what clients have done so far, and what is open now.
type Counts struct {
	Attempts        map[RPC]int // calls begun
	Sent            map[RPC]int // messages sent
	Open            map[RPC]int // calls that have not ended
	Connections     int         // accepted
	OpenConnections int
}

func (f *Faults) sent(rpc RPC) {
	f.update(func() { set(&f.history.sent, rpc, f.history.sent[rpc]+1) })
}

// Counts returns what clients have done so far.
func (f *Faults) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts()
}

func (f *Faults) counts() Counts {
	c := Counts{
		Attempts:        make(map[RPC]int),
		Sent:            maps.Clone(f.history.sent),
		Open:            make(map[RPC]int),
		Connections:     len(f.history.connections),
		OpenConnections: len(f.history.connections) - f.history.closed,
	}
	for rpc, times := range f.history.attempts {
		c.Attempts[rpc] = len(times)
	}
	for call := range f.calls {
		c.Open[call.rpc]++
	}
	return c
}

// Attempts returns when each call of the RPC began.
func (f *Faults) Attempts(rpc RPC) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.history.attempts[rpc])
}

// Connections returns when each connection was accepted.
func (f *Faults) Connections() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.history.connections)
}

// Wait returns when the condition holds. The condition must not call Faults.
func (f *Faults) Wait(ctx context.Context, holds func(Counts) bool) error {
	var last Counts
	if f.until(ctx.Done(), func() bool { last = f.counts(); return holds(last) }) {
		return nil
	}
	return fmt.Errorf("waiting for clients of the Workload API: %w; so far %+v", context.Cause(ctx), last)
}

// WaitAttempts returns when there have been n calls of the RPC.
func (f *Faults) WaitAttempts(ctx context.Context, rpc RPC, n int) error {
	return f.Wait(ctx, func(c Counts) bool { return c.Attempts[rpc] >= n })
}

// WaitSent returns when n messages of the RPC have been sent.
func (f *Faults) WaitSent(ctx context.Context, rpc RPC, n int) error {
	return f.Wait(ctx, func(c Counts) bool { return c.Sent[rpc] >= n })
}
