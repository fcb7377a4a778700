package config

import (
	"time"

	"github.com/svidhelper/svidhelper/helper/trust"
)

// What bundle_first means for the rest, unless the file says otherwise. Agents hear
// of a new authority within seconds of each other; a peer that waits for its own
// bundle shows the old authority's leaf meanwhile.
const (
	defaultLead   = 30 * time.Second
	defaultLinger = 10 * time.Minute
)

// defaults are what holds if bundle_first is all that the file says.
func defaults(p *trust.Policy) trust.Policy {
	if p.First {
		return trust.Policy{First: true, Lead: defaultLead, Linger: defaultLinger}
	}
	return trust.Policy{}
}

// durationUnless is a duration whose default depends on other keys.
func durationUnless(dst *time.Duration, usual func() time.Duration) scalar {
	v := duration(dst)
	v.literal = func() string {
		if *dst == usual() {
			return ""
		}
		return quote(shortDuration(*dst))
	}
	return v
}

func (d *decoder) checkTrust(p *trust.Policy, at places) {
	if at.has("bundle_lead") && !p.First {
		d.errorf(at.of("bundle_lead"), "write bundle_first = true", "bundle_lead is for bundle_first")
	}
	if !at.has("bundle_lead") {
		p.Lead = defaults(p).Lead
	}
	if !at.has("bundle_linger") {
		p.Linger = defaults(p).Linger
	}
}
