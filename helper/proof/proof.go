package proof

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

const (
	defaultTimeout = 10 * time.Second
	// tryTimeout bounds one connection, from dialling to the handshake's end.
	tryTimeout = 5 * time.Second
	// firstPause and longestPause are the pauses between two connections. Some
	// services reload within milliseconds; none needs more than a connection a
	// second.
	firstPause   = 5 * time.Millisecond
	longestPause = time.Second
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

// Want is what the service should present.
type Want struct {
	// Leaves are what was published: the service should present one of them.
	// There is at least one.
	Leaves []*x509.Certificate
	// Published is when it came to be on disk; zero means now. Latency counts
	// from here.
	Published time.Time
	// Certificate returns what we show when the service asks for a client
	// certificate; nil means nothing.
	Certificate func() (*tls.Certificate, error)
	// Untold, unless nil, returns why the service could not be told of the new
	// files; empty if it was told.
	Untold func() string
}

// holds reports whether a leaf is one of those wanted: the same certificate,
// byte for byte. Its fingerprint would say no more.
func (w Want) holds(leaf *x509.Certificate) bool {
	return slices.ContainsFunc(w.Leaves, leaf.Equal)
}

// Serials are the wanted leaves' serial numbers, for messages.
func (w Want) Serials() string {
	var all []string
	for _, leaf := range w.Leaves {
		all = append(all, snapshot.Serial(leaf.SerialNumber))
	}
	return strings.Join(all, " or ")
}

// A Result is how a proof went.
type Result struct {
	// Proven says that the service presented what was wanted.
	Proven bool
	// Latency is from Published to the handshake that proved it.
	Latency time.Duration
	// Serial is the serial number that was presented last, before an escalation
	// too; empty if nothing was.
	Serial string
	// Attempts counts the connections.
	Attempts int
	// Escalated are the escalations that were needed.
	Escalated []Escalation
}

// An Error is a proof that failed.
type Error struct {
	Address string // where we dialled
	Want    string // the serial number that was published
	Served  string // the one that was presented last; empty if none was
	Waited  time.Duration
	Err     error  // why the last connection showed nothing; nil if it did
	Untold  string // why the service could not be told of the new files; empty if it was told
}

func (e *Error) Error() string {
	var said string
	switch {
	case e.Err == nil && e.Untold == "":
		return fmt.Sprintf("%s still serves serial %s, not the published %s, after %v: it has not taken up the new files; look at its reload and its paths",
			e.Address, e.Served, e.Want, e.Waited)
	case e.Err == nil:
		said = fmt.Sprintf("%s still serves serial %s, not the published %s, after %v", e.Address, e.Served, e.Want, e.Waited)
	case e.Served != "":
		said = fmt.Sprintf("%s served serial %s, not the published %s, and does not answer after %v: %v",
			e.Address, e.Served, e.Want, e.Waited, e.Err)
	default:
		said = fmt.Sprintf("%s does not show a certificate (serial %s is published) after %v: %v",
			e.Address, e.Want, e.Waited, e.Err)
	}
	if e.Untold != "" {
		said += "; it could not be told of the new files: " + e.Untold
	}
	return said
}

func (e *Error) Unwrap() error { return e.Err }

// New returns a Prover. It dials nothing yet.
func New(cfg Config, log *slog.Logger) (*Prover, error) {
	at, err := parseAddress(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	if _, ok := protocols[cfg.StartTLS]; !ok {
		return nil, fmt.Errorf("proof: starttls %q is not known", cfg.StartTLS)
	}
	for _, name := range cfg.ALPN {
		if err := CheckALPN(name); err != nil {
			return nil, fmt.Errorf("proof: %w", err)
		}
	}
	for _, e := range cfg.OnFailure {
		if e != EscalateSignal && e != EscalateRestart {
			return nil, fmt.Errorf("proof: on_failure %q is not known; it is %q or %q", e, EscalateSignal, EscalateRestart)
		}
	}
	switch {
	case cfg.Timeout < 0:
		return nil, errors.New("proof: timeout must not be negative")
	case cfg.Timeout == 0:
		cfg.Timeout = defaultTimeout
	}
	if cfg.ServerName == "" {
		cfg.ServerName = at.host
	}
	return &Prover{cfg: cfg, at: at, log: log.With("proof", cfg.TLS)}, nil
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
		r, err = p.prove(ctx, want, sum.Serial)
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
	return p.prove(ctx, want, "")
}

// prove is Prove for a service that has served a serial number before.
func (p *Prover) prove(ctx context.Context, want Want, served string) (Result, error) {
	began := time.Now()
	if want.Published.IsZero() {
		want.Published = began
	}
	deadline := began.Add(p.cfg.Timeout)
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var (
		r      = Result{Serial: served}
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

// Look dials the service once. The error is the context's if that ended, else an
// *Error if the service does not present what is wanted.
func (p *Prover) Look(ctx context.Context, want Want) (Result, error) {
	began := time.Now()
	if want.Published.IsZero() {
		want.Published = began
	}
	var r Result
	err := p.try(ctx, want, &r)
	switch {
	case r.Proven:
		return r, nil
	case ctx.Err() != nil:
		return r, ctx.Err()
	}
	return r, p.unproven(want, r, began, err)
}

// try makes one connection and adds to a result what it has shown. The error is
// why it has shown nothing.
func (p *Prover) try(ctx context.Context, want Want, r *Result) error {
	r.Attempts++
	seen, err := p.dial(ctx, want)
	if seen.leaf == nil {
		return err
	}
	r.Serial = snapshot.Serial(seen.leaf.SerialNumber)
	if want.holds(seen.leaf) {
		r.Proven, r.Latency = true, seen.at.Sub(want.Published)
	}
	return nil // it does answer, and that is what there is to say
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
		Waited:  time.Since(began).Round(time.Millisecond),
		Err:     last,
	}
}

// pauses returns the pauses between connections: short at first, since that is
// when a service reloads.
func (p *Prover) pauses() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     firstPause,
		Multiplier:          1.5,
		RandomizationFactor: 0.1,
		MaxInterval:         max(longestPause, p.cfg.Timeout/fewest),
	}
}
