package publish

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/trust"
)

// Where an output says so, a new authority is on disk, and has arrived, before the
// leaf that it has issued. Package trust knows what is shown when; here is what it
// has to be told: what is on disk, and what has arrived.

// An arrival is the change that brought new authorities, and the targets that were
// told of it.
type arrival struct {
	number  uint64
	targets []string
}

// arrivals are how far the targets have come. The targets write them.
type arrivals struct {
	mu     sync.Mutex
	number map[string]uint64
	wake   chan struct{} // capacity 1
}

// Arrived says that everything up to a change has arrived at a target: it was told,
// and its proof has succeeded, if it has one. It does not block.
func (r *Publisher) Arrived(target string, number uint64) {
	a := &r.arrivals
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.number[target] >= number {
		return
	}
	a.number[target] = number
	a.stir()
}

// stir has the publisher look again. It never blocks.
func (a *arrivals) stir() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *arrivals) has(target string, number uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.number[target] >= number
}

// publishStep publishes what an output shows of a snapshot at this moment.
func (r *Publisher) publishStep(o *output, s *snapshot.Snapshot, force bool, c *Change) {
	o.recollect(c.At)
	missing := r.missingAt(o)
	news := trust.Awaited
	switch {
	case len(o.standings) > 0:
		news = trust.Urgent
	case o.awaits != nil && len(missing) == 0:
		news = trust.Arrived
	}
	shown, next := o.trust.Show(o.spec.Trust, s, c.At, news)
	o.rememberTrust(next)
	o.publish(shown, force, c)
	if o.err != nil || o.last != shown {
		return // it is not on disk
	}
	was := o.trust
	o.trust = next
	if !next.Since().Equal(was.Since()) {
		o.awaits = nil
	}
	before := o.waiting
	o.waiting = o.ofOutput(next.Waiting())
	for _, w := range o.waiting {
		c.Waiting = append(c.Waiting, w.SVID)
	}
	o.sayWaiting(before, c.At, missing)
}

// missingAt are the targets at which the newest authorities of an output have not
// arrived. One that is no target any more is not waited for.
func (r *Publisher) missingAt(o *output) []string {
	if o.awaits == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(o.awaits.targets), func(name string) bool {
		return !r.plan.has(name) || r.arrivals.has(name, o.awaits.number)
	})
}

// has reports whether there is a target of that name.
func (p *Plan) has(target string) bool {
	return p.Process != nil && p.Process.Name() == target ||
		slices.ContainsFunc(p.Hooks, func(h Hook) bool { return h.Name() == target })
}

// await notes which targets have been told of the authorities that are new on disk.
func (r *Publisher) await(number uint64, targets []string) {
	for _, o := range r.outputs {
		if o.awaits == nil && !o.trust.Since().IsZero() {
			o.awaits = &arrival{number, targets}
			if len(targets) == 0 {
				r.arrivals.stir() // there is nobody to wait for
			}
		}
	}
}

// awaits reports whether an output waits for an arrival.
func (r *Publisher) awaits() bool {
	return slices.ContainsFunc(r.outputs, func(o *output) bool { return !o.trust.Since().IsZero() })
}

// recollect finds out, once, what an earlier run shows. With the authorities there
// can be others in the same file; then it does not tell.
func (o *output) recollect(now time.Time) {
	if o.recollected || o.spec.Trust == (trust.Policy{}) || o.open() != nil {
		return
	}
	o.recollected = true
	set, svids, err := o.restore(now)
	if err != nil {
		return
	}
	var told []snapshot.X509SVID
	for _, id := range set.Identities {
		if id.Selection.Block != encode.BlockX509SVID {
			continue
		}
		svid := svids[0] // there is one for each such identity
		svids = svids[1:]
		if x := &o.spec.X509SVIDs[id.Selection.Index]; x.Federated != encode.FederatedMerge && !x.IntermediatesInBundle {
			told = append(told, svid)
		}
	}
	o.trust = trust.Restored(told, o.remembered().Trust, now)
}

// rememberTrust writes beside the set what the next run cannot see in it. It does so
// before the publish: a crash in between has the next run wait once more, at worst.
func (o *output) rememberTrust(next *trust.State) {
	if next == o.trust || o.open() != nil {
		return
	}
	if m := next.Memory(); !reflect.DeepEqual(m, o.remembered().Trust) {
		o.note.Trust = m
		o.writeNote()
	}
}

// ofOutput are the leaves that wait of those identities that the output has.
func (o *output) ofOutput(all []trust.Waiting) []trust.Waiting {
	return slices.DeleteFunc(all, func(w trust.Waiting) bool {
		return !slices.ContainsFunc(o.set.Identities, func(id encode.Identity) bool {
			return id.Kind.Has(snapshot.KindX509) && id.ID == w.SVID.ID && id.Hint == w.SVID.Hint
		})
	})
}

// sayWaiting logs which leaves begin to wait, and which have waited in vain.
func (o *output) sayWaiting(before []trust.Waiting, now time.Time, missing []string) {
	of := func(all []trust.Waiting, w trust.Waiting) bool {
		return slices.ContainsFunc(all, func(v trust.Waiting) bool { return v.SVID.ID == w.SVID.ID && v.SVID.Hint == w.SVID.Hint })
	}
	for _, w := range o.waiting {
		if !of(before, w) {
			o.log.Info("a new leaf waits until its authority has arrived", "spiffe_id", w.SVID.ID.String(), "serial", serialOf(w.SVID),
				"until", w.Until.UTC().Truncate(time.Second))
		}
	}
	for _, w := range before {
		if !of(o.waiting, w) && !now.Before(w.Until) {
			o.log.Warn("a new leaf follows, although its authority has not arrived everywhere", "spiffe_id", w.SVID.ID.String(),
				"serial", serialOf(w.SVID), "missing", missing)
		}
	}
}

func serialOf(svid snapshot.X509SVID) string {
	return snapshot.Serial(svid.Certificates[0].SerialNumber)
}
