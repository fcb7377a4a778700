package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/trust"
)

// A note is what is remembered beside a set: what it was made for, and what
// hooks have been told of it.
type note struct {
	// Configuration is the fingerprint of the output that the set is of.
	Configuration string `json:"configuration,omitempty"`
	// Told are the digests of what hooks have been told of, by name.
	Told map[string]string `json:"told,omitempty"`
	// Trust is how far new authorities and old ones have come.
	Trust trust.Memory `json:"trust,omitzero"`
}

// remembered returns the note on disk. One that cannot be read remembers
// nothing.
func (o *output) remembered() *note {
	if o.dir == nil {
		return &note{}
	}
	if o.note == nil {
		o.note = &note{}
		if data, err := o.dir.Note(); err == nil {
			_ = json.Unmarshal(data, o.note)
		}
		if o.note.Told == nil {
			o.note.Told = map[string]string{}
		}
	}
	return o.note
}

// writeNote writes what is to be remembered. Without it the next start waits for
// the Workload API, and tells hooks again.
func (o *output) writeNote() {
	data, err := json.Marshal(o.note)
	if err == nil {
		err = o.dir.SetNote(data)
	}
	if err != nil {
		o.log.Debug("what the next start is to know cannot be written beside the set", "error", err)
	}
}

// publishing notes that a set of another configuration is about to change: from
// now on it is of none, until it is complete.
func (o *output) publishing() {
	if n := o.remembered(); n.Configuration != "" && n.Configuration != o.fingerprint {
		n.Configuration = ""
		o.writeNote()
	}
}

// completed notes that a set is complete.
func (o *output) completed() {
	if n := o.remembered(); n.Configuration != o.fingerprint {
		n.Configuration = o.fingerprint
		o.writeNote()
	}
}

// startFromDisk starts the process on what an earlier run has left, if that is
// whole in every output, unexpired, and of this configuration. The Workload
// API's answer is then a rotation as any other.
func (r *Publisher) startFromDisk() error {
	if r.plan.WaitForAPI {
		r.log.Info("the process waits for the Workload API", "reason", "start_from_disk = false")
		return nil
	}
	now := time.Now()
	var why error
	c := Change{Number: r.nextNumber(), At: now}
	sets := make([]encode.Set, len(r.outputs))
	for i, o := range r.outputs {
		set, svids, err := o.restore(now)
		if err != nil && why == nil {
			why = fmt.Errorf("output %s: %w", o.spec.Dir, err)
		}
		sets[i], c.OnDisk = set, append(c.OnDisk, svids...)
	}
	if why != nil {
		if r.plan.Process != nil && !errors.Is(why, errNoSet) {
			r.log.Info("the process waits for the Workload API: it cannot start on what is on disk", "reason", why)
		}
		return nil
	}
	r.plan.Source.MustNotFail()
	for i, o := range r.outputs {
		o.set, o.published = sets[i], now
		for _, id := range sets[i].Identities {
			o.known[id.Selection] = id.ID
		}
		o.show(snapshot.KindNone)
		o.recollect(now)
	}
	told, err := r.tell(c, true)
	r.await(c.Number, told)
	return err
}

// errNoSet is the usual case: the first run.
var errNoSet = errors.New("no complete set of an earlier run is there")

// restore is what an earlier run has left in the output, or why it cannot be
// used.
func (o *output) restore(now time.Time) (encode.Set, []snapshot.X509SVID, error) {
	if o.dir == nil {
		return encode.Set{}, nil, o.err
	}
	switch o.remembered().Configuration {
	case o.fingerprint:
		return encode.Restore(&o.spec, o.dir, now)
	case "":
		return encode.Set{}, nil, errNoSet
	}
	return encode.Set{}, nil, errors.New("the set on disk was made for another configuration")
}
