package helper

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A witness proves that what a target was told of has arrived: after each
// notification it looks at what the service serves, and escalates when that is
// not what was published. It is one goroutine; a newer rotation takes the place
// of the one that is being proven.
type witness struct {
	log      *slog.Logger
	prover   *proof.Prover
	told     toldTarget
	escalate func(proof.Escalation) error

	claims chan claim // capacity 1, latest wins
	status atomic.Pointer[proofStatus]
}

// A toldTarget tells how far notifications have come.
type toldTarget interface {
	// progress returns how many notifications were asked for and how many
	// have reached the target, and why the last one has not.
	progress() (asked, delivered uint64, failure error)
	// updates hears that progress has changed.
	updates() <-chan struct{}
}

// A claim is what should be served once a notification has arrived.
type claim struct {
	leaves    []*x509.Certificate
	client    *tls.Certificate
	published time.Time
	asked     uint64
}

// proofStatus is how the last proof went. Pending is true from the publish to
// its end.
type proofStatus struct {
	pending bool
	result  proof.Result
	err     error
	at      time.Time
}

func newWitness(cfg *proof.Config, told toldTarget, escalate func(proof.Escalation) error, log *slog.Logger) (*witness, error) {
	p, err := proof.New(*cfg, log)
	if err != nil {
		return nil, err
	}
	w := &witness{log: log, prover: p, told: told, escalate: escalate, claims: make(chan claim, 1)}
	w.status.Store(&proofStatus{})
	return w, nil
}

// expect says what the target, which has just been told, should come to serve.
// It never blocks.
func (w *witness) expect(s *snapshot.Snapshot, published time.Time) {
	if s.X509 == nil {
		return
	}
	c := claim{published: published}
	c.asked, _, _ = w.told.progress()
	for _, svid := range s.X509.SVIDs {
		c.leaves = append(c.leaves, svid.Certificates[0])
	}
	c.client = clientCertificate(s.X509.SVIDs[0])
	w.status.Store(&proofStatus{pending: true})
	select {
	case <-w.claims: // superseded
	default:
	}
	w.claims <- c // only the rotator sends, so there is room
}

func clientCertificate(svid snapshot.X509SVID) *tls.Certificate {
	c := &tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}
	for _, cert := range svid.Certificates {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// run proves one claim after the other until ctx ends.
func (w *witness) run(ctx context.Context) error {
	var c claim
	for {
		select {
		case <-ctx.Done():
			return nil
		case c = <-w.claims:
		}
		for again := true; again; {
			c, again = w.prove(ctx, c)
		}
	}
}

// prove proves a claim. When a newer one arrives meanwhile it gives up and
// returns that one.
func (w *witness) prove(ctx context.Context, c claim) (newer claim, superseded bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan proofStatus, 1)
	go func() {
		result, err := proof.Result{}, w.arrived(ctx, c)
		if err == nil {
			result, err = w.prover.Run(ctx, c.want(), w.escalate)
		}
		done <- proofStatus{result: result, err: err, at: time.Now()}
	}()
	select {
	case newer = <-w.claims:
		cancel()
		<-done
		return newer, true
	case st := <-done:
		if errors.Is(st.err, context.Canceled) {
			return claim{}, false
		}
		w.conclude(st)
		return claim{}, false
	}
}

// arrived waits until the target has been told.
func (w *witness) arrived(ctx context.Context, c claim) error {
	for {
		_, delivered, failure := w.told.progress()
		switch {
		case delivered >= c.asked:
			return nil
		case failure != nil:
			return fmt.Errorf("the rotation has not reached it: %w", failure)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.told.updates():
		}
	}
}

func (w *witness) conclude(st proofStatus) {
	if st.err != nil {
		w.log.Error("rotation not proven", "error", st.err)
	} else {
		w.log.Info("rotation proven: the service serves what was published",
			"serial", st.result.Serial, "latency", st.result.Latency.Round(time.Microsecond), "connections", st.result.Attempts)
	}
	w.status.Store(&st)
}

func (c claim) want() proof.Want {
	want := proof.Want{Published: c.published, Certificate: func() (*tls.Certificate, error) { return c.client, nil }}
	for _, leaf := range c.leaves {
		want.Fingerprint = sha256.Sum256(leaf.Raw)
		want.Serial = proof.Serial(leaf)
	}
	return want
}
