package source

import "time"

// probeEvery is how often one token is asked for while there is none at all: an
// identity that is issued late, or an agent that starts, is to be noticed soon,
// also where a thousand tokens wait for it.
const probeEvery = 5 * time.Second

// barren reports whether no token has ever come.
func (t *tokens) barren() bool {
	for _, e := range t.entries {
		if e.svid != nil {
			return false
		}
	}
	return true
}

// probe has e tried again soon if there is no token at all, and no other that
// would find out.
func (t *tokens) probe(e *token, now time.Time) {
	soon := now.Add(probeEvery)
	if !e.due.After(soon) || !t.barren() {
		return
	}
	for _, other := range t.entries {
		if other != e && (other.cancel != nil || !other.due.After(soon)) {
			return
		}
	}
	e.due = soon
}

// awaken makes due what has failed, once one has come.
func (t *tokens) awaken(now time.Time) {
	for _, e := range t.entries {
		if e.failing && e.cancel == nil {
			e.due = now
		}
	}
}
