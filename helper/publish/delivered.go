package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// What hooks have been told of is remembered beside each set, so that a helper
// that starts again tells a hook of what it has not heard of, and of nothing
// else. The record is written after the delivery: a crash in between means one
// notification too many, and never one too few.

// A delivery is a hook that has been told of everything up to a change.
type delivery struct {
	hook   string
	number uint64
}

// A hookRecord is what the publisher knows of one hook.
type hookRecord struct {
	hook   Hook
	number uint64 // of the last change that it was told of; 0: none
}

// Delivered says that a hook has been told of everything up to a change. It does
// not block: what is not remembered is told again by the next run.
func (r *Publisher) Delivered(hook string, number uint64) {
	select {
	case r.delivered <- delivery{hook, number}:
	default:
	}
}

// tellHook tells a hook of a change that concerns it. Once everything is on disk
// for the first time, the hook is told of all of it, unless an earlier run has
// told it; the proof is looked for in any case. It reports whether the hook is told.
func (r *Publisher) tellHook(h Hook, c Change, whole bool) (told bool) {
	rec := r.hooks[h.Name()]
	fresh := rec == nil || rec.hook != h
	told = true
	switch {
	case h.On().Has(c.Kinds):
		c.First = fresh
		h.Tell(c)
	case !fresh || !whole:
		return false
	case r.told(h):
		h.Prove(c)
		told = false
	default:
		c = r.everything(c, h.On())
		h.Tell(c)
	}
	r.hooks[h.Name()] = &hookRecord{h, c.Number}
	return told
}

// everything is a change that says of all that is on disk that it is new.
func (r *Publisher) everything(c Change, kinds snapshot.Kind) Change {
	r.changes++
	all := Change{Number: r.nextNumber(), At: c.At, First: true, OnDisk: c.OnDisk, Waiting: c.Waiting}
	for _, o := range r.outputs {
		part := OutputChange{Dir: o.spec.Dir, Identities: of(kinds, o.identities())}
		for i, f := range o.set.Files {
			if k := o.set.Uses[i].Kind; kinds.Has(k) {
				part.Files = append(part.Files, f.Name)
				part.Kinds |= k & kinds
			}
		}
		if part.Kinds != snapshot.KindNone {
			slices.Sort(part.Files)
			all.Kinds |= part.Kinds
			all.Outputs = append(all.Outputs, part)
		}
	}
	return all
}

// told reports whether an earlier run has told a hook of exactly what is on disk.
func (r *Publisher) told(h Hook) bool {
	for _, o := range r.outputs {
		if digest := o.digest(h.On()); digest != "" && o.remembered().Told[h.Name()] != digest {
			return false
		}
	}
	return true
}

// record remembers a delivery, if nothing has changed since for the hook.
func (r *Publisher) record(d delivery) {
	rec := r.hooks[d.hook]
	if rec == nil || rec.number != d.number {
		return
	}
	for _, o := range r.outputs {
		o.remember(d.hook, o.digest(rec.hook.On()))
	}
}

// digest stands for the files of some kinds that are on disk; empty if there are
// none.
func (o *output) digest(kinds snapshot.Kind) string {
	sum, some := sha256.New(), false
	for i, f := range o.set.Files {
		if !kinds.Has(o.set.Uses[i].Kind) {
			continue
		}
		some = true
		part := o.sum(f.Data)
		sum.Write([]byte(f.Name))
		sum.Write([]byte{0})
		sum.Write(part[:])
	}
	if !some {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// sum is a file's digest. What did not change is the same memory as before.
func (o *output) sum(data []byte) [sha256.Size]byte {
	key := &data[0]
	if s, ok := o.sums[key]; ok {
		return s
	}
	if len(o.sums) > 2*len(o.set.Files)+16 {
		clear(o.sums)
	}
	s := sha256.Sum256(data)
	o.sums[key] = s
	return s
}

// remember writes what a hook has been told of.
func (o *output) remember(hook, digest string) {
	if o.dir == nil || digest == "" || o.remembered().Told[hook] == digest {
		return
	}
	o.note.Told[hook] = digest
	o.writeNote()
}
