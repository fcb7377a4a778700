package health

import (
	"encoding/json"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/notify"
	"github.com/svidhelper/svidhelper/helper/printable"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// A report is what /status.json says, and what the page shows. Fields that do not
// apply are left out; fields may be added, and are never renamed. Every text of it
// is printable and has a bound.
type report struct {
	Version   string    `json:"version"`
	GoVersion string    `json:"go_version"`
	Time      time.Time `json:"time"`
	Started   time.Time `json:"started,omitzero"`

	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"` // for not being ready
	Notes   []string `json:"notes,omitempty"`

	Outputs       []outputReport `json:"outputs"`
	Targets       []targetReport `json:"targets,omitempty"`
	History       []entry        `json:"history,omitempty"` // the newest first
	WorkloadAPI   apiReport      `json:"workload_api"`
	Configuration fileReport     `json:"configuration"`
}

// An outputReport is one directory.
type outputReport struct {
	Dir         string           `json:"dir"`
	Complete    bool             `json:"complete"`
	Rotations   uint64           `json:"rotations"`
	LastSuccess time.Time        `json:"last_success,omitzero"`
	Problem     string           `json:"problem,omitempty"`
	Identities  []identityReport `json:"identities,omitempty"`
	LeftOut     int              `json:"identities_left_out,omitempty"`
	Refused     []refusalReport  `json:"refused,omitempty"`
}

// An identityReport is an SVID on disk.
type identityReport struct {
	Kind     string    `json:"kind"`
	SPIFFEID string    `json:"spiffe_id"`
	Hint     string    `json:"hint,omitempty"`
	Audience []string  `json:"audience,omitempty"`
	Serial   string    `json:"serial,omitempty"`
	Begin    time.Time `json:"begin,omitzero"` // notBefore, or when a token was issued
	Expires  time.Time `json:"expires,omitzero"`
	File     string    `json:"file,omitempty"`
	Stale    bool      `json:"stale,omitempty"` // a newer SVID was refused
}

// A refusalReport is an identity that the Workload API does not give any more.
type refusalReport struct {
	Identity string    `json:"identity"`
	SPIFFEID string    `json:"spiffe_id,omitempty"`
	Reason   string    `json:"reason"`
	Since    time.Time `json:"since"`
	Removed  bool      `json:"removed,omitempty"`
	Error    string    `json:"error"`
}

// A targetReport is the process, or a hook.
type targetReport struct {
	Name     string       `json:"name"`
	State    string       `json:"state,omitempty"` // of the process
	PID      int          `json:"pid,omitempty"`
	Started  time.Time    `json:"started,omitzero"`
	Restarts uint64       `json:"restarts,omitempty"`
	Crashes  uint64       `json:"crashes,omitempty"`
	Asked    uint64       `json:"rotations"`
	Told     uint64       `json:"rotations_delivered"`
	LastTold time.Time    `json:"last_told,omitzero"`
	Latency  float64      `json:"told_latency_seconds,omitempty"` // of the last
	Runs     uint64       `json:"runs,omitempty"`                 // of a hook
	Failures uint64       `json:"failures,omitempty"`
	Problem  string       `json:"problem,omitempty"`
	Proof    *proofReport `json:"proof,omitempty"`
}

// A proofReport says whether the service serves what was published.
type proofReport struct {
	Address  string  `json:"address"`
	Proven   bool    `json:"proven"`
	Served   string  `json:"served_serial,omitempty"`
	Want     string  `json:"wanted_serial,omitempty"`
	Latency  float64 `json:"latency_seconds,omitempty"` // of the last one that succeeded
	Failures uint64  `json:"failures,omitempty"`
	Problem  string  `json:"problem,omitempty"`
	// Unseen are the authorities that the service may trust or not.
	Unseen []string `json:"unseen_authorities,omitempty"`
}

// An apiReport is the Workload API.
type apiReport struct {
	Address   string          `json:"address"`
	Connected bool            `json:"connected"`
	Since     time.Time       `json:"since,omitzero"`
	Problem   string          `json:"problem,omitempty"`
	Profiles  []profileReport `json:"profiles,omitempty"`
	LeftOut   int             `json:"profiles_left_out,omitempty"`
}

// A profileReport is a stream, or the request for one token.
type profileReport struct {
	Profile    string    `json:"profile"`
	Audience   []string  `json:"audience,omitempty"`
	SPIFFEID   string    `json:"spiffe_id,omitempty"`
	Hint       string    `json:"hint,omitempty"`
	State      string    `json:"state"`
	LastAnswer time.Time `json:"last_answer,omitzero"`
	Error      string    `json:"error,omitempty"`
}

// A fileReport is the configuration file.
type fileReport struct {
	Changed time.Time `json:"changed,omitzero"` // last took effect, or was refused
	Problem string    `json:"problem,omitempty"`
}

// maxListed bounds a list of a report. An answer has at most as many SVIDs.
const maxListed = 1024

// brief makes a name of unknown origin fit for a report.
func brief(s string) string { return printable.Line(s, maxLabel) }

// sentence makes a text of unknown origin, which may have several lines, fit for a
// report.
func sentence(s string) string {
	return printable.Line(strings.Join(strings.Fields(s), " "), maxReason)
}

func briefs(all []string) []string {
	short := make([]string, 0, min(len(all), maxListed))
	for _, s := range all[:cap(short)] {
		short = append(short, brief(s))
	}
	return short
}

func (s *Status) report(now time.Time) report {
	ready, why := s.Ready(now)
	r := report{
		Version: brief(s.Version), GoVersion: runtime.Version(), Time: now.UTC(), Started: s.Started.UTC(),
		Ready: ready, Reasons: why, Notes: s.notes(why), Outputs: []outputReport{},
		Targets: s.targets(), History: history(s.Recent), WorkloadAPI: reportSource(s.Source),
		Configuration: fileReport{Changed: s.Reload.At.UTC(), Problem: sentence(s.Reload.Problem)},
	}
	for i := range s.Outputs {
		r.Outputs = append(r.Outputs, reportOutput(&s.Outputs[i]))
	}
	return r
}

func reportOutput(o *publish.Status) outputReport {
	r := outputReport{
		Dir: brief(o.Spec.Dir), Complete: o.Complete, Rotations: o.Rotations, LastSuccess: o.LastSuccess.UTC(), Problem: sentence(o.Problem),
	}
	ids := soonest(o.Identities)
	r.LeftOut = max(len(ids)-maxListed, 0)
	for _, id := range ids[:len(ids)-r.LeftOut] {
		r.Identities = append(r.Identities, identityReport{
			Kind: kindName(id), SPIFFEID: brief(id.ID.String()), Hint: brief(id.Hint), Audience: briefs(id.Audience), Serial: brief(id.Serial),
			Begin: begin(id), Expires: id.NotAfter, File: brief(file(id)), Stale: id.Stale,
		})
	}
	for _, f := range o.Refused[:min(len(o.Refused), maxListed)] {
		r.Refused = append(r.Refused, refusalReport{
			Identity: brief(f.What), SPIFFEID: brief(f.ID.String()), Reason: f.Reason, Since: f.Since.UTC(), Removed: f.Removed, Error: sentence(f.Why),
		})
	}
	return r
}

// targets are the process, then the hooks, each with its proof.
func (s *Status) targets() []targetReport {
	var all []targetReport
	if s.Process != nil {
		all = append(all, reportProcess(s.Process))
	}
	for i := range s.Hooks {
		all = append(all, reportHook(&s.Hooks[i]))
	}
	for i := range all {
		for _, t := range s.Told {
			if t.Target == all[i].Name {
				last, _ := t.Latency.Last()
				all[i].Latency = last.Seconds()
			}
		}
		for j := range s.Proofs {
			if s.Proofs[j].Target == all[i].Name {
				all[i].Proof = reportProof(&s.Proofs[j])
			}
		}
	}
	for i := range all {
		all[i].Name = brief(all[i].Name)
	}
	return all
}

func reportProcess(p *supervisor.Status) targetReport {
	return targetReport{
		Name: "process", State: string(p.State), PID: p.PID, Started: p.Started.UTC(), Restarts: p.Restarts, Crashes: p.Crashes,
		Asked: p.Rotated, Told: p.Delivered, LastTold: p.LastDelivered.UTC(), Problem: sentence(processProblem(p, time.Now())),
	}
}

func reportHook(h *hook.Status) targetReport {
	return targetReport{
		Name: h.Name, Asked: h.Asked, Told: h.Delivered, LastTold: h.LastDelivered.UTC(), Runs: h.Runs, Failures: h.Failures,
		Problem: sentence(hookProblem(h)),
	}
}

func reportProof(p *notify.ProofStatus) *proofReport {
	last, _ := p.Latency.Last()
	return &proofReport{
		Address: brief(p.Address), Proven: p.Proven, Served: brief(p.Served), Want: brief(p.Want), Latency: last.Seconds(),
		Failures: p.Failures, Problem: sentence(p.Problem), Unseen: briefs(p.Unseen),
	}
}

func reportSource(s *source.Status) apiReport {
	if s == nil {
		return apiReport{}
	}
	r := apiReport{
		Address: brief(s.Connection.Address), Connected: s.Connection.Connected, Since: s.Connection.Since.UTC(),
		Problem: sentence(s.Problem()), LeftOut: max(len(s.Profiles)-maxListed, 0),
	}
	for _, p := range s.Profiles[:len(s.Profiles)-r.LeftOut] {
		f := profileReport{Profile: brief(string(p.Profile)), State: brief(string(p.State)), LastAnswer: p.LastSuccess.UTC()}
		if p.Profile == source.ProfileJWTSVID {
			f.Audience, f.SPIFFEID, f.Hint = briefs(p.Request.Audience()), brief(p.Request.ID.String()), brief(p.Request.Hint)
		}
		if p.LastError != nil {
			f.Error = sentence(p.LastError.Error())
		}
		r.Profiles = append(r.Profiles, f)
	}
	return r
}

// json answers with the report.
func (s *Server) json(w http.ResponseWriter, _ *http.Request) {
	status := s.current()
	body, err := json.Marshal(status.report(time.Now()))
	if err != nil { // a time after the year 9999, which no Snapshot has
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}
