package health

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Status is how the helper is doing at one moment. It is handed over as a
// whole and nobody writes to it, or to what it points to, afterwards.
//
// Wherever there is a Problem, it is a sentence for a person, and its presence
// means not ready.
type Status struct {
	Version string
	Started time.Time
	// Dead says why nothing but a restart of the helper helps; empty means
	// live. What the Workload API, a disk or the process does is no reason.
	Dead string
	// Problems are reasons for not being ready that no part below tells.
	Problems []string

	Connection Connection
	Profiles   []Profile
	Outputs    []Output
	Process    *Process // nil: none
	Hooks      []Hook
	Proofs     []Proof

	// Writes is what spiffe-helper's health checks know of the files.
	Writes Writes
}

// A Connection is the one to the Workload API.
type Connection struct {
	Address   string
	Connected bool
	Attempts  uint64 // to connect
}

// A Profile is one stream of the Workload API, or one request for a token.
type Profile struct {
	Name  string // as the configuration has it, with the audience
	State string // one word
	// LastSuccess is when it last gave a good answer; zero if it never did.
	LastSuccess time.Time
	LastError   string
	// Failures counts failures by reason, each one word.
	Failures map[string]uint64
	// Problem is for a refusal that has lasted. A short outage is none.
	Problem string
}

// An Output is one directory.
type Output struct {
	Dir string
	// Complete says that everything configured is on disk; Awaited says what
	// is missing otherwise.
	Complete bool
	Awaited  string
	// LastSuccess is when the Workload API's last word was last found, or
	// put, on disk.
	LastSuccess time.Time
	// Rotations counts publishes that changed something.
	Rotations uint64
	// Failures counts failed publishes by reason, each one word.
	Failures map[string]uint64
	// Problem is why the last publish failed.
	Problem    string
	Identities []Identity
}

// An Identity is something on disk that expires.
type Identity struct {
	Kind     string // x509_svid, jwt_svid, wit_svid
	SPIFFEID string
	Hint     string
	File     string // one that it is in, unique in its output
	Serial   string // of an X.509-SVID
	NotAfter time.Time
}

// A Process is the one that the helper runs.
type Process struct {
	State    string // one word
	PID      int    // 0: none
	Started  time.Time
	Restarts uint64
	// Rotated counts rotations that concern it, Delivered those that it has
	// been told of.
	Rotated, Delivered uint64
	Problem            string
}

// A Hook is somebody else who is told of rotations.
type Hook struct {
	Name             string
	Asked, Delivered uint64
	Runs, Failures   uint64
	LastDelivered    time.Time
	Problem          string
}

// A Proof is a service that is dialled after rotations.
type Proof struct {
	Target  string // "process", or the hook's name
	Address string
	// Served and Want are serial numbers: what was presented last, and what
	// should have been.
	Served, Want string
	// Proven says that the last rotation was proven.
	Proven   bool
	Attempts uint64 // connections
	Failures uint64 // proofs that failed
	Latency  Latencies
	Problem  string
}

// Writes are the file write statuses of spiffe-helper's health checks.
type Writes struct {
	// X509 is a WriteStatus; empty if no X.509-SVID is wanted.
	X509 WriteStatus
	// JWT is the status of each JWT file, by its path.
	JWT map[string]WriteStatus
}

// failed reports whether a write has failed.
func (w Writes) failed() bool {
	return w.X509 == Failed || slices.Contains(slices.Collect(maps.Values(w.JWT)), Failed)
}

// A WriteStatus is what has become of a file.
type WriteStatus string

// The statuses of a file.
const (
	Unwritten WriteStatus = "unwritten"
	Written   WriteStatus = "written"
	Failed    WriteStatus = "failed"
)

// ready reports whether everything is as it should be at that moment, and if
// not, why.
func (s *Status) ready(now time.Time) (ok bool, why []string) {
	why = append(why, s.Problems...)
	add := func(what, problem string) {
		if problem != "" {
			why = append(why, what+": "+problem)
		}
	}
	for _, p := range s.Profiles {
		add(p.Name, p.Problem)
	}
	for _, o := range s.Outputs {
		what := "output " + o.Dir
		add(what, o.Problem)
		switch {
		case o.Complete:
		case o.Awaited != "":
			add(what, "waiting for "+o.Awaited)
		default:
			add(what, "not published yet")
		}
		for _, i := range o.Identities {
			if !i.NotAfter.IsZero() && !now.Before(i.NotAfter) {
				add(what, fmt.Sprintf("%s of %s in %s expired at %s",
					i.Kind, i.SPIFFEID, i.File, i.NotAfter.UTC().Format(time.RFC3339)))
			}
		}
	}
	if s.Process != nil {
		add("process", s.Process.Problem)
	}
	for _, h := range s.Hooks {
		add("hook "+h.Name, h.Problem)
	}
	for _, p := range s.Proofs {
		add("proof of "+p.Target, p.Problem)
	}
	return len(why) == 0, why
}
