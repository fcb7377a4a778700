package proof

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

const (
	defaultTimeout = 10 * time.Second
	// tryTimeout bounds one connection, from dialling to the handshake's end.
	tryTimeout = 5 * time.Second
	// firstPause and longestPause are the pauses between two looks. Some services
	// reload within milliseconds; none needs more than a look a second. A command
	// costs more than a connection.
	firstPause          = 5 * time.Millisecond
	firstPauseOfCommand = 100 * time.Millisecond
	longestPause        = time.Second
	// fewest is in how many parts a long timeout is divided at least, so that
	// the number of connections does not grow with it.
	fewest = 20
)

// A Prover proves rotations of one service. Its methods may be called by
// several goroutines, but one proof at a time is what does not disturb.
type Prover struct {
	cfg Config
	at  address
	log *slog.Logger
}

// New returns a Prover. It dials nothing yet.
func New(cfg Config, log *slog.Logger) (*Prover, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	p := &Prover{cfg: cfg, log: log.With("proof", cfg.Subject())}
	if cfg.TLS != "" {
		p.at, _ = parseAddress(cfg.TLS) // it has been checked
	}
	p.cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	p.cfg.ServerName = cmp.Or(cfg.ServerName, p.at.host)
	return p, nil
}

// Run proves a rotation, and escalates where the service does not take it up:
// each of OnFailure in order, each followed by another Timeout. An escalation
// that fails is followed by the next one at once. The error is the context's
// if that ended, else an *Error.
func (p *Prover) Run(ctx context.Context, want Want, escalate func(Escalation) error) (Result, error) {
	if want.Published.IsZero() {
		want.Published = time.Now()
	}
	sum, err := p.Prove(ctx, want)
	for _, e := range p.cfg.OnFailure {
		if err == nil || ctx.Err() != nil {
			break
		}
		sum.Escalated = append(sum.Escalated, e)
		p.log.Warn("rotation not taken up, escalating", "escalation", string(e), "error", err)
		if failed := escalate(e); failed != nil {
			p.log.Error("escalation failed", "escalation", string(e), "error", failed)
			continue
		}
		var r Result
		r, err = p.prove(ctx, want, sum.before())
		r.Attempts += sum.Attempts
		r.Escalated = sum.Escalated
		sum = r
	}
	return sum, err
}

// Patience is how long Run lasts at most.
func (p *Prover) Patience() time.Duration {
	return p.cfg.Timeout * time.Duration(1+len(p.cfg.OnFailure))
}

// Prove dials the service until it presents what is wanted, for at most
// Timeout. The error is the context's if that ended, else an *Error.
func (p *Prover) Prove(ctx context.Context, want Want) (Result, error) {
	return p.prove(ctx, want, Result{})
}

// prove is Prove for a service that has shown something before.
func (p *Prover) prove(ctx context.Context, want Want, r Result) (Result, error) {
	began := time.Now()
	if want.Published.IsZero() {
		want.Published = began
	}
	deadline := began.Add(p.cfg.Timeout)
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var (
		last   error
		pauses = p.pauses()
	)
	for {
		err := p.try(limited, want, &r)
		if r.Proven {
			return r, nil
		}
		if time.Now().Before(deadline) || r.Attempts == 1 {
			last = err // a try that our timeout cut short explains nothing
		}
		select {
		case <-time.After(pauses.NextBackOff()):
		case <-limited.Done():
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if limited.Err() != nil {
			return r, p.unproven(want, r, began, last)
		}
	}
}

// Look looks at the service once, which before has shown a result: the zero one, if
// nothing is known. The error is the context's if that ended, else an *Error if the
// service does not present what is wanted.
func (p *Prover) Look(ctx context.Context, want Want, before Result) (Result, error) {
	began := time.Now()
	if want.Published.IsZero() {
		want.Published = began
	}
	r := before.before()
	err := p.try(ctx, want, &r)
	switch {
	case r.Proven:
		return r, nil
	case ctx.Err() != nil:
		return r, ctx.Err()
	}
	return r, p.unproven(want, r, began, err)
}

// try looks once at all that there is to see, and adds to a result what that has
// shown. The error is why it has not shown all of it; nil where the service presents
// another certificate, which is all that there is to say.
func (p *Prover) try(ctx context.Context, want Want, r *Result) error {
	if p.cfg.TLS != "" {
		for range inARow(p.cfg.Workers, r.looks) {
			if err := p.see(ctx, want, r); err != nil || !r.right {
				r.looks++
				return err
			}
		}
	}
	if len(p.cfg.Command) > 0 {
		if err := p.run(ctx, want, r); err != nil {
			return err
		}
	}
	r.Proven = true
	return nil
}

// see makes one connection.
func (p *Prover) see(ctx context.Context, want Want, r *Result) error {
	r.Attempts++
	seen, err := p.dial(ctx, want)
	if seen.leaf == nil {
		return err
	}
	r.Serial, r.right = snapshot.Serial(seen.leaf.SerialNumber), want.holds(seen.leaf)
	r.Latency = seen.at.Sub(want.Published)
	if !r.right || !p.cfg.ClientCA {
		return nil
	}
	r.Unseen = seen.unseen(want)
	return seen.distrust(want)
}

func (p *Prover) unproven(want Want, r Result, began time.Time, last error) *Error {
	untold := ""
	if want.Untold != nil {
		untold = want.Untold()
	}
	return &Error{
		Untold:  untold,
		Address: p.cfg.TLS,
		Want:    want.Serials(),
		Served:  r.Serial,
		Right:   r.right,
		Waited:  time.Since(began).Round(time.Millisecond),
		Err:     last,
	}
}

// pauses returns the pauses between looks: short at first, since that is when a
// service reloads.
func (p *Prover) pauses() *backoff.ExponentialBackOff {
	first := firstPause
	if len(p.cfg.Command) > 0 {
		first = firstPauseOfCommand
	}
	return &backoff.ExponentialBackOff{
		InitialInterval:     first,
		Multiplier:          1.5,
		RandomizationFactor: 0.1,
		MaxInterval:         max(longestPause, p.cfg.Timeout/fewest),
	}
}
