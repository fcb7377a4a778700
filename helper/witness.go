package helper

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A witness proves that what a target was told of has arrived: after each
// notification it looks at what the service serves, and escalates when that is
// not what was published. It proves one rotation at a time; a newer one takes the
// place of the one that is being proven.
type witness struct {
	log      *slog.Logger
	prover   *proof.Prover
	target   *target
	escalate func(proof.Escalation) error

	claims  chan claim    // capacity 1, latest wins
	updates chan struct{} // capacity 1: the target's progress has changed
	status  atomic.Pointer[health.Proof]
	open    atomic.Bool // the last claim has been neither proven nor given up
	// unproven is when the target had been told of the first rotation of those
	// that were not proven; zero: there is none. It belongs to who runs.
	unproven time.Time
	cut      proof.Result // of the last claim, if a newer one cut its proof short
}

// A claim is what should be served once a notification has arrived.
type claim struct {
	leaves    []*x509.Certificate
	client    *tls.Certificate
	published time.Time
	asked     uint64
}

func newWitness(cfg *proof.Config, t *target, escalate func(proof.Escalation) error, log *slog.Logger) (*witness, error) {
	p, err := proof.New(*cfg, log)
	if err != nil {
		return nil, err
	}
	w := &witness{
		log: log, prover: p, target: t, escalate: escalate,
		claims: make(chan claim, 1), updates: make(chan struct{}, 1),
	}
	w.status.Store(&health.Proof{Address: cfg.TLS})
	return w, nil
}

// expect says what the target, which has just been told, should come to serve.
// It never blocks.
func (w *witness) expect(onDisk []snapshot.X509SVID, published time.Time) {
	if len(onDisk) == 0 {
		return
	}
	c := claim{published: published, client: clientCertificate(onDisk[0])}
	c.asked = w.target.progress().asked
	for _, svid := range onDisk {
		c.leaves = append(c.leaves, svid.Certificates[0])
	}
	for {
		select {
		case w.claims <- c:
			return
		default:
		}
		select {
		case <-w.claims: // superseded
		default:
		}
	}
}

// progressed says that the target's progress has changed. It never blocks.
func (w *witness) progressed() {
	select {
	case w.updates <- struct{}{}:
	default:
	}
}

func clientCertificate(svid snapshot.X509SVID) *tls.Certificate {
	c := &tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}
	for _, cert := range svid.Certificates {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// run proves the newest claim, until ctx ends. One that wants what is being
// proven already does not begin the wait anew.
func (w *witness) run(ctx context.Context) error {
	var current claim
	stop, ended := launch(ctx, nil)
	quit := func() {
		stop()
		if ended != nil {
			<-ended
		}
	}
	for {
		select {
		case <-ctx.Done():
			quit()
			return nil
		case c := <-w.claims:
			if w.open.Load() && c.same(current) {
				continue
			}
			quit()
			w.superseded()
			current = c
			w.open.Store(true)
			stop, ended = launch(ctx, func(ctx context.Context) error { return w.prove(ctx, c) })
		}
	}
}

// prove proves a claim. One that fails is looked at again, with a connection a
// look, ever more seldom: a restart may take longer than a proof waits, and a
// person may mend what no escalation could. The error is ctx's.
func (w *witness) prove(ctx context.Context, c claim) error {
	w.begin(c)
	w.cut = proof.Result{}
	if err := w.arrived(ctx, c); err != nil {
		return err
	}
	if w.unproven.IsZero() {
		w.unproven = time.Now()
	}
	r, err := w.prover.Run(ctx, c.want(), w.escalate)
	if ctx.Err() != nil {
		w.tried(r)
		w.cut = r
		return ctx.Err()
	}
	w.conclude(r, err)
	for pauses := lateLooks(); err != nil; {
		select {
		case <-ctx.Done():
		case <-w.updates:
		case <-time.After(pauses.NextBackOff()):
		}
		r, err = w.prover.Look(ctx, c.want())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			w.conclude(r, nil)
		} else {
			w.tried(r)
		}
	}
	return nil
}

// lateLooks are the pauses between looks that come too late.
func lateLooks() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: time.Second,
		Multiplier:      2,
		MaxInterval:     10 * time.Minute,
	}
}

// arrived waits until the target has been told. It gives up on one that cannot
// be told: a service that watches its files may serve them all the same, and
// one that does not is to be escalated.
func (w *witness) arrived(ctx context.Context, c claim) error {
	for {
		if p := w.target.progress(); p.delivered >= c.asked || p.stuck != "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.updates:
		}
	}
}

// begin says what is wanted from now on. A service that failed to take up the
// rotation before stays a problem until this one is proven.
func (w *witness) begin(c claim) {
	st := *w.status.Load()
	st.Proven = false
	st.Want = c.want().Serials()
	w.status.Store(&st)
}

// superseded gives up a proof that a newer one takes the place of. That is a
// failure if rotations have come faster than they were proven for longer than a
// proof lasts: else it would never be said. What the last one has had no time to
// see is no failure yet.
func (w *witness) superseded() {
	waited := time.Since(w.unproven)
	if !w.open.Load() || w.unproven.IsZero() || waited < w.prover.Patience() || w.cut.Serial == "" && w.cut.Attempts < 2 {
		return
	}
	serves := "shows no certificate"
	if w.cut.Serial != "" {
		serves = "serves serial " + w.cut.Serial
	}
	st := w.health()
	w.cut.Attempts = 0 // counted already
	w.conclude(w.cut, fmt.Errorf("%s %s, not the published %s, nor any that was published in the last %v: it takes up new files too slowly, or not at all",
		st.Address, serves, st.Want, waited.Round(time.Millisecond)))
}

// tried remembers connections that have not shown what is wanted.
func (w *witness) tried(r proof.Result) {
	st := *w.status.Load()
	st.Served = cmp.Or(r.Serial, st.Served)
	st.Attempts += uint64(r.Attempts)
	w.status.Store(&st)
}

// conclude remembers and logs how a proof went.
func (w *witness) conclude(r proof.Result, err error) {
	st := *w.status.Load()
	st.Proven = r.Proven
	st.Served = cmp.Or(r.Serial, st.Served)
	st.Attempts += uint64(r.Attempts)
	st.Problem = ""
	said := events.Event{Event: events.Proven, Serial: r.Serial, Connections: r.Attempts}
	if err != nil {
		st.Failures++
		st.Problem = err.Error()
		said.Event, said.Failed, said.Want, said.Error = events.Failed, "proof", st.Want, err.Error()
		w.log.Error("rotation not proven", "error", err)
	} else {
		w.unproven = time.Time{}
		st.Latency = st.Latency.Observe(r.Latency)
		said.Latency = r.Latency.Seconds()
		w.log.Info("rotation proven: the service serves what was published",
			"serial", r.Serial, "latency", r.Latency.Round(time.Microsecond), "connections", r.Attempts)
	}
	w.status.Store(&st)
	w.open.Store(false)
	w.note(said) // last: whoever hears of it finds that health agrees
}

func (w *witness) note(e events.Event) {
	e.Target = w.target.name
	w.target.journal.Note(e)
}

// health is how the last proof went.
func (w *witness) health() health.Proof { return *w.status.Load() }

// same reports whether another claim wants the same to be served.
func (c claim) same(other claim) bool {
	return slices.EqualFunc(c.leaves, other.leaves, (*x509.Certificate).Equal)
}

func (c claim) want() proof.Want {
	return proof.Want{
		Leaves:      c.leaves,
		Published:   c.published,
		Certificate: func() (*tls.Certificate, error) { return c.client, nil },
	}
}
