package helper

import (
	"path/filepath"
	"strings"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	hooks "github.com/svidhelper/svidhelper/supervisor/hook"
)

// A change is what one rotation changed on disk, over all outputs.
type change struct {
	kinds snapshot.Kind
	parts []changedOutput
	// onDisk are all X.509-SVIDs that are on disk now, changed or not.
	onDisk []snapshot.X509SVID
}

// outputChange is what one publish changed on disk.
type outputChange struct {
	kinds snapshot.Kind
	files []string // names that changed or went
}

// changedOutput is one output's part of a change.
type changedOutput struct {
	dir        string
	kinds      snapshot.Kind
	files      []string
	identities []encode.Identity
}

func (c *change) add(o *output, w outputChange, s *snapshot.Snapshot) {
	c.onDisk = append(c.onDisk, o.onDisk(s)...)
	if w.kinds == snapshot.KindNone {
		return
	}
	part := changedOutput{dir: o.spec.Dir, kinds: w.kinds, files: w.files}
	for _, id := range o.set.Identities {
		if w.kinds.Has(id.Kind) {
			part.identities = append(part.identities, id)
		}
	}
	c.kinds |= w.kinds
	c.parts = append(c.parts, part)
}

// notice describes the change to a hook.
func (c change) notice(first bool) hooks.Notice {
	outputs := hooks.List{Name: "SVIDHELPER_OUTPUT"}
	kinds := hooks.List{Name: "SVIDHELPER_KINDS", Values: c.kinds.Names()}
	files := hooks.List{Name: "SVIDHELPER_FILES"}
	var ids, serials []string
	for _, p := range c.parts {
		outputs.Values = append(outputs.Values, p.dir)
		for _, f := range p.files {
			files.Values = append(files.Values, filepath.Join(p.dir, f))
		}
		for _, id := range p.identities {
			ids = append(ids, id.ID.String())
			if id.Serial != "" {
				serials = append(serials, id.Serial)
			}
		}
	}
	return hooks.Notice{
		Env: []string{
			"SVIDHELPER_SPIFFE_ID=" + strings.Join(ids, ","),
			"SVIDHELPER_SERIAL=" + strings.Join(serials, ","),
		},
		Lists: []hooks.List{outputs, kinds, files},
		Event: c.lines(),
		First: first,
	}
}

// events are what the event stream says of the change, output by output.
func (c change) events() []events.Event {
	var all []events.Event
	for _, p := range c.parts {
		all = append(all, publishedEvent(p.dir, p.kinds, p.files, p.identities))
	}
	return all
}

// lines are the events for a command's standard input.
func (c change) lines() []byte {
	var b []byte
	for _, e := range c.events() {
		b = append(b, e.Line()...)
	}
	return b
}

func publishedEvent(dir string, kinds snapshot.Kind, files []string, identities []encode.Identity) events.Event {
	e := events.Event{Event: events.Published, Output: dir, Kinds: kinds.Names(), Files: files}
	for _, id := range identities {
		e.Identities = append(e.Identities, events.Identity{
			Kind:     events.KindName(id.Kind),
			SPIFFEID: id.ID.String(),
			Hint:     id.Hint,
			Serial:   id.Serial,
			Expires:  id.NotAfter.UTC(),
		})
	}
	return e
}
