// Package events is the event stream: what happened, one line of JSON an event,
// appended to a file that the configuration names, and given to a hook's command
// on its standard input.
//
// It promises that an event is the same line everywhere, that its time is that
// of what happened, and that no key and no token is in it. It does not promise
// that every event arrives: a file that takes too long loses some, and the log
// says so.
package events

import (
	"encoding/json"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// An Event is one line of the stream. Fields that do not apply are left out;
// fields may be added, and are never renamed.
type Event struct {
	// Time is when it happened, in UTC, RFC 3339.
	Time time.Time `json:"time"`
	// Event is "published", "removed", "notified", "proven", "reloaded" or
	// "failed".
	Event string `json:"event"`

	// Output is the directory that was published to, or could not be.
	Output string `json:"output,omitempty"`
	// Kinds are the kinds of material that changed: "x509", "bundle", "jwt",
	// "wit".
	Kinds []string `json:"kinds,omitempty"`
	// Files are the names in Output that changed or went.
	Files []string `json:"files,omitempty"`
	// Identities are the SVIDs of those kinds that are on disk now, or, of a
	// removal, that were.
	Identities []Identity `json:"identities,omitempty"`

	// Target is "process" or the name of a hook.
	Target string `json:"target,omitempty"`
	// Rotations is how many rotations the target has been told of, so far.
	Rotations uint64 `json:"rotations,omitempty"`

	// Serial is the serial number, in hex, that the service served; Want the
	// one that was published.
	Serial string `json:"serial,omitempty"`
	Want   string `json:"want,omitempty"`
	// Latency is, in seconds, from the publish to the proof; of a notification,
	// from the Workload API's answer to when the target was told.
	Latency float64 `json:"latency_seconds,omitempty"`
	// Connections is how many the proof took.
	Connections int `json:"connections,omitempty"`

	// Changed are the parts of the configuration that a reload changed.
	Changed []string `json:"changed,omitempty"`

	// Failed says what failed: "encode", "publish", "identity", "notify",
	// "proof" or "reload".
	Failed string `json:"failed,omitempty"`
	Error  string `json:"error,omitempty"`
}

// An Identity is an SVID in an event.
type Identity struct {
	Kind     string    `json:"kind"` // "x509_svid", "jwt_svid" or "wit_svid"
	SPIFFEID string    `json:"spiffe_id"`
	Hint     string    `json:"hint,omitempty"`
	Serial   string    `json:"serial,omitempty"`
	Expires  time.Time `json:"expires"`
}

// The values of Event.Event.
const (
	Published = "published"
	Removed   = "removed"
	Notified  = "notified"
	Proven    = "proven"
	Reloaded  = "reloaded"
	Failed    = "failed"
)

// KindName names the kind of an SVID as the configuration does.
func KindName(k snapshot.Kind) string {
	switch {
	case k.Has(snapshot.KindX509):
		return "x509_svid"
	case k.Has(snapshot.KindJWT):
		return "jwt_svid"
	default:
		return "wit_svid"
	}
}

// Line is the event as it is written, with its newline. An event that JSON
// cannot hold (a time after the year 9999) becomes one that says so.
func (e Event) Line() []byte {
	e.Time = e.Time.UTC()
	b, err := json.Marshal(e)
	if err != nil {
		b, _ = json.Marshal(Event{Time: time.Now().UTC(), Event: e.Event, Output: e.Output, Target: e.Target, Failed: e.Failed,
			Error: "the event cannot be written in full: " + err.Error()})
	}
	return append(b, '\n')
}
