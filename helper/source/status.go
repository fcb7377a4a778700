package source

import (
	"cmp"
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc/codes"
)

// Profile names one thing to ask the Workload API for, as the configuration
// names it.
type Profile string

// The profiles.
const (
	ProfileX509SVID   Profile = "x509_svid"   // FetchX509SVID
	ProfileX509Bundle Profile = "x509_bundle" // FetchX509Bundles
	ProfileJWTSVID    Profile = "jwt_svid"    // FetchJWTSVID, once for each request
	ProfileJWTBundle  Profile = "jwt_bundle"  // FetchJWTBundles
	ProfileWITSVID    Profile = "wit_svid"    // FetchWITSVID
	ProfileWITBundle  Profile = "wit_bundle"  // FetchWITBundles
)

// profiles are all of them, in order.
var profiles = []Profile{ProfileX509SVID, ProfileX509Bundle, ProfileJWTSVID, ProfileJWTBundle, ProfileWITSVID, ProfileWITBundle}

// Profiles returns all profiles.
func Profiles() []Profile { return slices.Clone(profiles) }

// State is where a profile stands.
type State string

// The states.
const (
	// StateConnecting: there is no connection to the Workload API.
	StateConnecting State = "connecting"
	// StateWaiting: it has been asked for the first time on this connection
	// and has not answered.
	StateWaiting State = "waiting"
	// StateStreaming: its last answer was good, and it will say when there is
	// a new one; for a JWT-SVID, the renewal is scheduled.
	StateStreaming State = "streaming"
	// StateDenied: it answers PermissionDenied, or without the JWT-SVID that was
	// asked for: there is no identity for us.
	StateDenied State = "denied"
	// StateRejected: its last answer, or a part of it that the rest does not
	// depend on, failed a check, see Reason.
	StateRejected State = "rejected"
	// StateFailed: it answers with another error, see Code, or not at all.
	StateFailed State = "failed"
	// StateUnsupported: it does not know the profile.
	StateUnsupported State = "unsupported"
)

// Status is all there is to say of a Source at one instant: what it has, and how
// it is doing. It never changes.
type Status struct {
	// Snapshot is what the Workload API last said; nil before it has said
	// anything.
	Snapshot   *snapshot.Snapshot
	Connection Connection
	// Profiles holds what is needed: in the order of the constants, JWT-SVIDs
	// in the order of their requests.
	Profiles []*ProfileStatus
}

// Connection is the state of the connection to the Workload API.
type Connection struct {
	Address   string
	Connected bool
	Since     time.Time // of Connected's present value
	// Attempts counts attempts to connect, Connects those that succeeded.
	Attempts, Connects uint64
	// LastError says why the last attempt failed or the last connection
	// ended; it is nil while connected.
	LastError error
	// Problem is LastError for a person: the cause, and what to check.
	Problem string
}

// ProfileStatus is the state of one profile or, for ProfileJWTSVID, of one
// request.
type ProfileStatus struct {
	Profile Profile
	Request snapshot.JWTRequest // for ProfileJWTSVID

	State State
	Since time.Time // of State

	// LastError, with its gRPC code or the reason of a refusal, is the last
	// failure. A good answer clears all three. In StateStreaming it says what is
	// ignored of that answer.
	LastError error
	Code      codes.Code
	Reason    Reason

	// Attempts counts streams opened or fetches made, Failures those that
	// ended in an error, Rejected the answers that failed a check.
	Attempts, Failures uint64
	Rejected           map[Reason]uint64

	// LastSuccess is when the last good answer came, also one that said
	// nothing new; zero if there was none.
	LastSuccess time.Time
	// DeniedSince is when it began to say that there is no identity for us, and
	// has said nothing else since; zero if its last word was another. An agent
	// that restarts says so for a while: so the end of the connection ends it
	// too, and a denial counts when it has lasted.
	DeniedSince time.Time
}

// LastAnswer returns when the last good answer came, of whatever profile; zero if
// there was none.
func (s *Status) LastAnswer() time.Time {
	var last time.Time
	for _, p := range s.Profiles {
		if p.LastSuccess.After(last) {
			last = p.LastSuccess
		}
	}
	return last
}

// Awaited returns the profiles that have not had a good answer.
func (s *Status) Awaited() []*ProfileStatus {
	var awaited []*ProfileStatus
	for _, p := range s.Profiles {
		if p.LastSuccess.IsZero() {
			awaited = append(awaited, p)
		}
	}
	return awaited
}

// Name names the profile and, for a JWT-SVID, what was requested.
func (p *ProfileStatus) Name() string { return p.key().String() }

func (p *ProfileStatus) key() key { return key{p.Profile, p.Request} }

// A key says which profile or request is meant.
type key struct {
	profile Profile
	request snapshot.JWTRequest
}

func (k key) String() string {
	if k.profile != ProfileJWTSVID {
		return string(k.profile)
	}
	s := string(k.profile) + " for " + k.request.String()
	if !k.request.ID.IsZero() {
		s += " of " + k.request.ID.String()
	}
	if k.request.Hint != "" {
		s += " with hint " + k.request.Hint
	}
	return s
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(slices.Index(profiles, k.profile), slices.Index(profiles, o.profile)), k.request.Compare(o.request))
}
