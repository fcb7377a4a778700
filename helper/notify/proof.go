package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/proof"
)

// A proofRunner proves that what a target was told of has arrived: after each
// notification it looks at what the service serves, and escalates when that is
// not what was published. It proves one rotation at a time; a newer one takes the
// place of the one that is being proven.
type proofRunner struct {
	cfg      *proof.Config
	log      *slog.Logger
	prover   *proof.Prover
	target   *target
	escalate func(proof.Escalation) error

	wanted     chan expectation // capacity 1, latest wins
	progress   chan struct{}    // capacity 1: the target's progress has changed
	status     atomic.Pointer[ProofStatus]
	open       atomic.Bool   // the last expectation has been neither proven nor given up
	asked      atomic.Uint64 // expectations so far
	looked     atomic.Uint64 // the last of them that run has taken up
	proven     atomic.Uint64 // the last of them that was proven
	everProven atomic.Bool
	// unproven is when the target had been told of the first rotation of those
	// that were not proven; zero: there is none. It belongs to run, as cut does.
	unproven time.Time
	cut      proof.Result // of the last expectation, if a newer one cut its proof short
}

// A ProofStatus is how the proof of a target goes. It is a value: nothing in it
// changes.
type ProofStatus struct {
	Target  string // "process", or the hook's name
	Address string // or the command's name, where nothing is dialled
	// Served and Want are serial numbers: what was presented last, and what
	// should have been.
	Served, Want string
	// Proven says that the last rotation was proven. Unseen are then the serial
	// numbers of the authorities that the service may trust or not, for all that
	// client_ca can see.
	Proven   bool
	Unseen   []string
	Attempts uint64 // connections
	Failures uint64 // proofs that failed
	Latency  Latencies
	Problem  string // why the service is not known to serve what was published
}

func newProofRunner(cfg *proof.Config, t *target, escalate func(proof.Escalation) error, log *slog.Logger) (*proofRunner, error) {
	p, err := proof.New(*cfg, log)
	if err != nil {
		return nil, err
	}
	r := &proofRunner{
		cfg: cfg, log: log, prover: p, target: t, escalate: escalate,
		wanted: make(chan expectation, 1), progress: make(chan struct{}, 1),
	}
	r.status.Store(&ProofStatus{Target: t.name, Address: cfg.Subject()})
	return r, nil
}

// current is how the last proof went; nil if there is nothing to prove.
func (r *proofRunner) current() *ProofStatus {
	if r == nil {
		return nil
	}
	return r.status.Load()
}

// settled reports whether the last expectation was proven. Without a proof, all are.
func (r *proofRunner) settled() bool { return r == nil || r.proven.Load() == r.asked.Load() }

// progressed says that the target's progress has changed. It never blocks.
func (r *proofRunner) progressed() {
	select {
	case r.progress <- struct{}{}:
	default:
	}
}

// run proves the newest expectation, until ctx ends. One that wants what is being
// proven already does not begin the wait anew.
func (r *proofRunner) run(ctx context.Context) {
	var current expectation
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-r.wanted:
			r.looked.Store(e.number)
			if r.open.Load() && e.same(current) {
				continue
			}
			stop()
			r.superseded()
			current = e
			r.open.Store(true)
			stop = beside(ctx, func(ctx context.Context) { r.prove(ctx, e) })
		}
	}
}

// beside runs f in a goroutine of its own. stop ends it and waits for its end.
func beside(ctx context.Context, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	return func() { cancel(); running.Wait() }
}

// prove proves what is expected. One that fails is looked at again, with a
// connection a look: a restart may take longer than a proof waits, and a person may
// mend what no escalation could. It ends early with ctx.
func (r *proofRunner) prove(ctx context.Context, e expectation) {
	r.begin(e)
	r.cut = proof.Result{}
	if !r.arrived(ctx, e) {
		return
	}
	if r.unproven.IsZero() {
		r.unproven = time.Now()
	}
	want := e.want()
	want.Untold = func() string { return r.target.line.progress().stuck }
	told := time.Now()
	res, err := r.prover.Run(ctx, want, r.escalate)
	if ctx.Err() != nil {
		r.tried(res, nil, told)
		r.cut = res
		return
	}
	r.conclude(res, err)
	failed := time.Now()
	for err != nil {
		select {
		case <-ctx.Done():
		case <-r.progress:
		case <-time.After(latePause(time.Since(failed))):
		}
		res, err = r.prover.Look(ctx, want, res)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			r.conclude(res, nil)
		default:
			r.tried(res, err, told)
		}
	}
}

// latePause is the pause before another look at a service that has not proven a
// rotation for so long. Ready is true within a second of what mends a short trouble;
// one that stays for hours fills no log, and has no host blocked.
func latePause(lasted time.Duration) time.Duration {
	return min(max(700*time.Millisecond, lasted/60), 10*time.Minute)
}

// arrived waits until the target has been told, and reports false if ctx ended.
// It gives up on a target that cannot be told: a service that watches its files
// may serve them all the same, and one that does not is to be escalated.
func (r *proofRunner) arrived(ctx context.Context, e expectation) bool {
	for {
		if p := r.target.line.progress(); p.delivered >= e.asked || p.stuck != "" {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-r.progress:
		}
	}
}

// begin says what is wanted from now on. A service that failed to take up the
// rotation before stays a problem until this one is proven.
func (r *proofRunner) begin(e expectation) {
	st := *r.status.Load()
	st.Proven = false
	st.Want = e.want().Serials()
	r.status.Store(&st)
}

// superseded gives up a proof that a newer one takes the place of. That is a
// failure if rotations have come faster than they were proven for longer than a
// proof lasts: it would never be said otherwise. A proof that has had no time to
// see anything is no failure yet.
func (r *proofRunner) superseded() {
	waited := time.Since(r.unproven)
	if !r.open.Load() || r.unproven.IsZero() || waited < r.prover.Patience() || r.cut.Serial == "" && r.cut.Attempts < 2 {
		return
	}
	shows := "shows no certificate"
	switch {
	case r.cfg.TLS == "":
		shows = "does not succeed"
	case r.cut.Serial != "":
		shows = "serves serial " + r.cut.Serial
	}
	st := r.status.Load()
	r.cut.Attempts = 0 // counted already
	r.conclude(r.cut, fmt.Errorf("%s %s; the published %s is not proven, nor is any other of the last %v: new files are taken up too slowly, or not at all",
		st.Address, shows, st.Want, waited.Round(time.Millisecond)))
}

// tried remembers connections that have not shown what is wanted, and what is in the
// way now, which may be another thing than when the proof failed. The wait is counted
// from when the target had been told.
func (r *proofRunner) tried(res proof.Result, err error, told time.Time) {
	st := *r.status.Load()
	if why := (*proof.Error)(nil); errors.As(err, &why) {
		why.Waited = time.Since(told).Round(time.Second)
		st.Problem = why.Error()
	}
	st.Served = cmp.Or(res.Serial, st.Served)
	st.Attempts += uint64(res.Attempts)
	r.status.Store(&st)
}

// conclude remembers and logs how a proof went.
func (r *proofRunner) conclude(res proof.Result, err error) {
	st := *r.status.Load()
	st.Proven, st.Unseen = res.Proven, res.Unseen
	st.Served = cmp.Or(res.Serial, st.Served)
	st.Attempts += uint64(res.Attempts)
	st.Problem = ""
	said := events.Event{Time: time.Now(), Event: events.Proven, Target: r.target.name, Serial: res.Serial, Connections: res.Attempts}
	if err != nil {
		st.Failures++
		st.Problem = err.Error()
		said.Event, said.Failed, said.Want, said.Error = events.Failed, "proof", st.Want, err.Error()
		r.log.Error("rotation not proven", "error", err)
	} else {
		r.unproven = time.Time{}
		r.everProven.Store(true)
		r.target.line.heard()
		st.Latency = st.Latency.Observe(res.Latency)
		said.Latency = res.Latency.Seconds()
		attrs := []any{"serial", res.Serial, "latency", res.Latency.Round(time.Microsecond), "connections", res.Attempts}
		if len(res.Unseen) > 0 {
			attrs = append(attrs, "unseen_authorities", res.Unseen)
		}
		r.log.Info("rotation proven: the service serves what was published", attrs...)
	}
	r.status.Store(&st)
	r.open.Store(false)
	if err == nil {
		r.proven.Store(r.looked.Load()) // after open: what run takes up from now on is another proof
		r.target.look()
	}
	r.target.events.Note(said) // last: a reader of the event finds that health agrees
}
