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

// probe has e tried again soon if there is no token at all, and sooner after a
// denial on a new connection; unless enough others will find out.
func (t *tokens) probe(e *token, now time.Time, early bool) {
	soon, enough := now.Add(probeEvery), 1
	if early {
		soon, enough = now.Add(e.retry.byClass[deniedEarly].NextBackOff()), maxFetches
	}
	if !e.due.After(soon) || !early && !t.barren() {
		return
	}
	for _, other := range t.entries {
		if other != e && (other.cancel != nil || other.failing && !other.due.After(soon)) {
			if enough--; enough == 0 {
				return
			}
		}
	}
	e.due = soon
}

// awaken makes due what has failed, since another profile or token has recovered:
// at once if that is little, otherwise at most once a second.
func (t *tokens) awaken(now time.Time) {
	var failing []*token
	for _, e := range t.entries {
		if e.failing && e.cancel == nil && e.due.Before(now.Add(never/2)) {
			failing = append(failing, e)
		}
	}
	pause := leastRetry
	if len(failing) > maxFetches {
		pause = soonest
	}
	for _, e := range failing {
		if due := e.tried.Add(pause); due.Before(e.due) {
			e.due = due
		}
	}
}
