package source

import (
	"time"

	"google.golang.org/grpc/codes"
)

// A record is the state of one profile, and the timer of its grace period.
type record struct {
	ProfileStatus
	grace *time.Timer
}

// enter changes the state and reports whether it was another.
func (r *record) enter(s State) bool {
	if r.State == s {
		return false
	}
	r.State, r.Since = s, time.Now()
	return true
}

// rejected counts a refusal.
func (r *record) rejected(reason Reason) {
	if r.Rejected == nil {
		r.Rejected = make(map[Reason]uint64)
	}
	r.Rejected[reason]++
}

func (r *record) stopGrace() {
	if r.grace != nil {
		r.grace.Stop()
		r.grace = nil
	}
}

// attrs says in a log what the record is about.
func (r *record) attrs() []any {
	attrs := []any{"profile", string(r.Profile)}
	if r.Profile == ProfileJWTSVID {
		attrs = append(attrs, "audience", r.Request.String())
	}
	if r.Code != codes.OK {
		attrs = append(attrs, "code", r.Code.String())
	}
	if r.Reason != "" {
		attrs = append(attrs, "reason", string(r.Reason))
	}
	return attrs
}
