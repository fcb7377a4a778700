package helper

import (
	"encoding/json"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// An event is one line of the event stream: a file that the configuration
// names, and the standard input of a hook's command. Fields that do not apply
// are left out; fields may be added, and are never renamed.
type event struct {
	// Time is in UTC, RFC 3339.
	Time time.Time `json:"time"`
	// Event is "published", "notified", "proven" or "failed".
	Event string `json:"event"`

	// Output is the directory that was published to, or could not be.
	Output string `json:"output,omitempty"`
	// Kinds are the kinds of material that changed: "x509", "bundle", "jwt",
	// "wit".
	Kinds []string `json:"kinds,omitempty"`
	// Files are the names in Output that changed or went.
	Files []string `json:"files,omitempty"`
	// Identities are the SVIDs of those kinds that are on disk now.
	Identities []eventIdentity `json:"identities,omitempty"`

	// Target is "process" or the name of a hook.
	Target string `json:"target,omitempty"`
	// Rotations is how many rotations the target has been told of, so far.
	Rotations uint64 `json:"rotations,omitempty"`

	// Serial is the serial number, in hex, that the service served; Want the
	// one that was published.
	Serial string `json:"serial,omitempty"`
	Want   string `json:"want,omitempty"`
	// Latency is from the publish to the proof, in seconds.
	Latency float64 `json:"latency_seconds,omitempty"`
	// Connections is how many it took.
	Connections int `json:"connections,omitempty"`

	// Failed says what did: "encode", "publish", "notify" or "proof".
	Failed string `json:"failed,omitempty"`
	Error  string `json:"error,omitempty"`
}

type eventIdentity struct {
	Kind     string    `json:"kind"` // "x509_svid", "jwt_svid" or "wit_svid"
	SPIFFEID string    `json:"spiffe_id"`
	Hint     string    `json:"hint,omitempty"`
	Serial   string    `json:"serial,omitempty"`
	Expires  time.Time `json:"expires"`
}

// The events.
const (
	eventPublished = "published"
	eventNotified  = "notified"
	eventProven    = "proven"
	eventFailed    = "failed"
)

func publishedEvent(dir string, kinds snapshot.Kind, files []string, identities []writer.Identity) event {
	e := event{Event: eventPublished, Output: dir, Kinds: kinds.Names(), Files: files}
	for _, id := range identities {
		e.Identities = append(e.Identities, eventIdentity{
			Kind:     identityKind(id.Kind),
			SPIFFEID: id.ID.String(),
			Hint:     id.Hint,
			Serial:   id.Serial,
			Expires:  id.NotAfter.UTC(),
		})
	}
	return e
}

// line is the event as it is written.
func (e event) line() []byte {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	b, err := json.Marshal(e)
	if err != nil {
		panic("encoding an event: " + err.Error()) // it holds nothing that cannot be
	}
	return append(b, '\n')
}
