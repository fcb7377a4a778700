package helper

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

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

// run proves the newest claim, until ctx ends.
func (w *witness) run(ctx context.Context) error {
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
			quit()
			stop, ended = launch(ctx, func(ctx context.Context) error { return w.prove(ctx, c) })
		}
	}
}

// prove proves a claim. One that fails is looked at again, with a connection a
// look, ever more seldom: a restart may take longer than a proof waits, and a
// person may mend what no escalation could. The error is ctx's.
func (w *witness) prove(ctx context.Context, c claim) error {
	w.begin(c)
	if err := w.arrived(ctx, c); err != nil {
		return err
	}
	r, err := w.prover.Run(ctx, c.want(), w.escalate)
	if ctx.Err() != nil {
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

// tried remembers a late look that has not shown what is wanted.
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
	said := event{Event: eventProven, Serial: r.Serial, Connections: r.Attempts}
	if err != nil {
		st.Failures++
		st.Problem = err.Error()
		said.Event, said.Failed, said.Want, said.Error = eventFailed, "proof", st.Want, err.Error()
		w.log.Error("rotation not proven", "error", err)
	} else {
		st.Latency = st.Latency.Observe(r.Latency)
		said.Latency = r.Latency.Seconds()
		w.log.Info("rotation proven: the service serves what was published",
			"serial", r.Serial, "latency", r.Latency.Round(time.Microsecond), "connections", r.Attempts)
	}
	w.status.Store(&st)
	w.note(said) // last: whoever hears of it finds that health agrees
}

func (w *witness) note(e event) {
	e.Target = w.target.name
	w.target.journal.note(e)
}

// health is how the last proof went.
func (w *witness) health() health.Proof { return *w.status.Load() }

func (c claim) want() proof.Want {
	return proof.Want{
		Leaves:      c.leaves,
		Published:   c.published,
		Certificate: func() (*tls.Certificate, error) { return c.client, nil },
	}
}
