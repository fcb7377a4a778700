package source

import (
	"maps"
	"time"

	"google.golang.org/grpc/codes"
)

// enter changes the state and reports whether it was another.
func (p *ProfileStatus) enter(s State) bool {
	if p.State == s {
		return false
	}
	p.State, p.Since = s, time.Now()
	return true
}

// rejected counts a refusal.
func (p *ProfileStatus) rejected(reason Reason) {
	if p.Rejected = maps.Clone(p.Rejected); p.Rejected == nil {
		p.Rejected = make(map[Reason]uint64)
	}
	p.Rejected[reason]++
}

// denied follows a denial that goes on, or has ended.
func (p *ProfileStatus) denied(yes bool) {
	switch {
	case !yes:
		p.DeniedSince = time.Time{}
	case p.DeniedSince.IsZero():
		p.DeniedSince = time.Now()
	}
}

// attrs says in a log what the profile is about.
func (p *ProfileStatus) attrs() []any {
	attrs := []any{"profile", string(p.Profile)}
	if p.Profile == ProfileJWTSVID {
		attrs = append(attrs, "audience", sentence(p.Request.String()))
	}
	if p.Code != codes.OK {
		attrs = append(attrs, "code", p.Code.String())
	}
	if p.Reason != "" {
		attrs = append(attrs, "reason", string(p.Reason))
	}
	return attrs
}
