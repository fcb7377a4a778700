package publish

import (
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A Change is what one rotation changed on disk, over all outputs. What was
// removed because its identity is refused is no part of it.
type Change struct {
	// Number counts the changes of a Publisher, from 1 on.
	Number uint64
	// At is when the new set became visible.
	At time.Time
	// Pushed is when the answer of the Workload API came that the change follows;
	// zero: none did.
	Pushed time.Time
	// First says that the target is told for the first time: it is not splayed.
	First bool
	// Kinds are the kinds of material that changed.
	Kinds   snapshot.Kind
	Outputs []OutputChange
	// OnDisk are all X.509-SVIDs that are on disk now, changed or not.
	OnDisk []snapshot.X509SVID
	// Waiting are X.509-SVIDs that are not: their authority is to arrive first.
	Waiting []snapshot.X509SVID

	of []*output // of Outputs, index by index
}

// announce logs the change, what is told of it, and how long it took: since the
// answer of the Workload API came, or else since the publish began.
func (c *Change) announce(targets []string) {
	took := time.Since(c.At)
	if !c.Pushed.IsZero() {
		took = time.Since(c.Pushed)
	}
	for i, o := range c.of {
		o.announce(c.Outputs[i], targets, took)
	}
}

// An OutputChange is one output's part of a Change.
type OutputChange struct {
	Dir        string
	Kinds      snapshot.Kind
	Files      []string          // names that changed or went, in order
	Identities []encode.Identity // of those kinds, on disk now
	Before     []encode.Identity // of those kinds, on disk before
}

// Events are what the event stream says of the change, output by output.
func (c Change) Events() []events.Event {
	var all []events.Event
	for _, o := range c.Outputs {
		all = append(all, events.Event{
			Time: c.At, Event: events.Published, Output: o.Dir,
			Kinds: o.Kinds.Names(), Files: o.Files, Identities: eventIdentities(o.Identities),
		})
	}
	return all
}

func eventIdentities(identities []encode.Identity) []events.Identity {
	var all []events.Identity
	for _, id := range identities {
		all = append(all, events.Identity{
			Kind: events.KindName(id.Kind), SPIFFEID: id.ID.String(), Hint: id.Hint,
			Serial: id.Serial, Expires: id.NotAfter.UTC(),
		})
	}
	return all
}

// of returns the part of identities that are of some kinds.
func of(kinds snapshot.Kind, identities []encode.Identity) []encode.Identity {
	return slices.DeleteFunc(slices.Clone(identities), func(id encode.Identity) bool { return !kinds.Has(id.Kind) })
}
