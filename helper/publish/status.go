package publish

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/writer"
)

// A Status is what there is to say of one output. It is a value: nothing in it
// changes.
type Status struct {
	Spec *encode.Output
	// Complete says that everything configured is on disk; Awaited says what is
	// missing otherwise.
	Complete bool
	Awaited  string
	// Identities are the SVIDs on disk.
	Identities []encode.Identity
	// Absent is what the last good answer lacks, in words.
	Absent []string
	// Refused are the identities that the Workload API does not give any more, for
	// longer than the grace period.
	Refused []Refusal
	// LastSuccess is when the Workload API's last word was last found, or put, on
	// disk.
	LastSuccess time.Time
	// Rotations counts publishes that changed something.
	Rotations uint64
	// Failures counts failed publishes by reason, each one word.
	Failures map[string]uint64
	// Refusals counts how often each identity came to be refused, by reason.
	Refusals map[Refused]uint64
	// Waiting says which new leaves wait until their authority has arrived.
	Waiting []string
	// Problem is why the last publish failed.
	Problem string
	// Has reports whether a file is on disk.
	Has func(encode.FileSpec) bool
}

// A Refused is an identity, as the configuration names it, and in one word why it
// is not given, or why what is given cannot be used.
type Refused struct{ What, Reason string }

// Compare orders by identity, then by reason.
func (r Refused) Compare(o Refused) int {
	return cmp.Or(cmp.Compare(r.What, o.What), cmp.Compare(r.Reason, o.Reason))
}

// countRefusal counts in a new map: a Status has the one before.
func (o *output) countRefusal(r Refused) {
	if o.counted = maps.Clone(o.counted); o.counted == nil {
		o.counted = map[Refused]uint64{}
	}
	o.counted[r]++
}

// reasonOf says in one word why what was received cannot be encoded.
func reasonOf(err error) string {
	var r *source.Rejection
	if errors.As(err, &r) {
		return string(r.Reason)
	}
	return "not_usable"
}

// holds returns a function that tells whether a file, or one that its placeholders
// stand for, is on disk now.
func (o *output) holds() func(encode.FileSpec) bool {
	files, kept := o.set.Files, o.keptFiles
	return func(spec encode.FileSpec) bool {
		for name, is := range kept {
			if is && spec.Matches(name) {
				return true
			}
		}
		return slices.ContainsFunc(files, func(f writer.File) bool { return spec.Matches(f.Name) })
	}
}

func (o *output) status() Status {
	st := Status{
		Spec:        &o.spec,
		Identities:  o.identities(),
		Refused:     o.refusals(),
		LastSuccess: o.published,
		Rotations:   o.rotations,
		Failures:    maps.Clone(o.failures),
		Refusals:    o.counted,
		Has:         o.holds(),
	}
	for _, g := range o.set.Gaps {
		if g.Absent {
			st.Absent = append(st.Absent, g.String())
		}
	}
	for _, w := range o.waiting {
		st.Waiting = append(st.Waiting, fmt.Sprintf("the new leaf of %s, serial %s, waits until its authority has arrived, until %s at the latest",
			w.SVID.ID, serialOf(w.SVID), w.Until.UTC().Format(time.RFC3339)))
	}
	st.Problem = o.problem
	if o.err != nil {
		st.Problem = o.err.Error()
	}
	st.Complete = o.missing() == snapshot.KindNone && len(o.dropped) == 0 && o.dir != nil
	if !st.Complete {
		st.Awaited = describeAwaited([]*output{o})
	}
	return st
}
