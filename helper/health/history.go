package health

import (
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/events"
)

// An entry of the history is a rotation with what came of it, or another event.
type entry struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"` // as in the event stream; a rotation is "published"

	Outputs    []string          `json:"outputs,omitempty"`
	Kinds      []string          `json:"kinds,omitempty"`
	Files      []string          `json:"files,omitempty"`
	Identities []events.Identity `json:"identities,omitempty"`
	Outcomes   []outcome         `json:"outcomes,omitempty"`

	Changed []string `json:"changed,omitempty"` // of a reload
	Failed  string   `json:"failed,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// An outcome is what a rotation came to at one target: "notified", "proven" or
// "failed".
type outcome struct {
	Target  string  `json:"target"`
	Event   string  `json:"event"`
	Latency float64 `json:"latency_seconds,omitempty"`
	Failed  string  `json:"failed,omitempty"` // "notify" or "proof"
	Error   string  `json:"error,omitempty"`
}

// history makes a list, the newest first, of events, the oldest first. What a
// target says belongs to the rotation before it.
func history(recent []events.Event) []entry {
	var all []entry
	rotation := -1 // the last one
	for _, e := range recent {
		switch {
		case e.Event == events.Published && rotation >= 0 && rotation == len(all)-1 && all[rotation].Time.Equal(e.Time):
			all[rotation].merge(e) // another output
		case e.Target != "" && rotation >= 0:
			all[rotation].Outcomes = append(all[rotation].Outcomes, outcome{
				Target: brief(e.Target), Event: e.Event, Latency: e.Latency, Failed: e.Failed, Error: sentence(e.Error),
			})
		case e.Target != "": // the rotation is not remembered any more
		default:
			all = append(all, entry{Time: e.Time.UTC(), Event: e.Event, Changed: e.Changed, Failed: e.Failed, Error: sentence(e.Error)})
			all[len(all)-1].merge(e)
			if e.Event == events.Published {
				rotation = len(all) - 1
			}
		}
	}
	slices.Reverse(all)
	return all
}

// merge adds what an event says of an output.
func (h *entry) merge(e events.Event) {
	if e.Output != "" {
		h.Outputs = append(h.Outputs, brief(e.Output))
	}
	for _, kind := range e.Kinds {
		if !slices.Contains(h.Kinds, kind) {
			h.Kinds = append(h.Kinds, kind)
		}
	}
	h.Files = append(h.Files, briefs(e.Files)...)
	for _, id := range e.Identities {
		id.SPIFFEID, id.Hint, id.Serial = brief(id.SPIFFEID), brief(id.Hint), brief(id.Serial)
		if !slices.Contains(h.Identities, id) { // it may be in several outputs
			h.Identities = append(h.Identities, id)
		}
	}
}
