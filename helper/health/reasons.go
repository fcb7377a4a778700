package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/notify"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// What bounds the reasons: how many there are, and how long each is in bytes. A
// thousand identities can expire in one moment.
const (
	maxReasons = 20
	maxReason  = 2000
)

// steady is how long a process that has crashed several times in a row must run
// to count as there again.
const steady = time.Second / 2

// reasons are why the helper is not ready, or what is to be noted.
type reasons struct {
	all  []string
	more int
}

func (r *reasons) add(what, problem string) {
	switch {
	case problem == "":
	case len(r.all) == maxReasons:
		r.more++
	default:
		r.all = append(r.all, sentence(what+problem))
	}
}

func (r *reasons) list() []string {
	if r.more > 0 {
		return append(r.all, fmt.Sprintf("and %d more", r.more))
	}
	return r.all
}

// Ready reports what a probe is told at that moment: whether everything is as it
// should be, and if not, why.
//
// An outage of the Workload API is no reason, nor is an answer that was refused:
// the last good set is on disk, and it is good until it expires, which is one.
// To be not ready at once would make an outage of every service out of a fault
// of the agent. An identity that is refused for longer than the grace period is
// a reason: that is meant for this workload. A configuration file that is refused
// is none, since everything goes on as before; one that is in effect, and whose
// process cannot be started, is. A notification or a proof that is under way is none,
// but for the first proof: what waits for a probe is to find the service with its
// certificate.
func (s *Status) Ready(now time.Time) (ok bool, why []string) {
	var r reasons
	api := s.apiProblem()
	if api != "" && slices.ContainsFunc(s.Outputs, func(o publish.Status) bool { return awaits(&o, now) }) {
		r.add("", api) // the cause comes first
	}
	for i := range s.Outputs {
		r.output(&s.Outputs[i], api, now)
	}
	if s.Process != nil {
		r.add("process: ", processProblem(s.Process, now))
	}
	if s.Unstarted != "" {
		r.add("process: ", "the one of the new configuration is not started, the one before goes on: "+s.Unstarted)
	}
	for i := range s.Hooks {
		r.add("hook "+s.Hooks[i].Name+": ", hookProblem(&s.Hooks[i]))
	}
	for i := range s.Proofs {
		r.add("proof of "+s.Proofs[i].Target+": ", proofProblem(&s.Proofs[i]))
	}
	if len(r.all) == 0 {
		r.all = s.unwritten()
	}
	return len(r.all) == 0, r.list()
}

// awaits reports whether an output waits for what the Workload API alone can
// give.
func awaits(o *publish.Status, now time.Time) bool {
	if !o.Complete {
		return true
	}
	for _, id := range o.Identities {
		if expired(id.NotAfter, now) {
			return true
		}
	}
	return false
}

func expired(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

func (r *reasons) output(o *publish.Status, api string, now time.Time) {
	what := "output " + o.Spec.Dir + ": "
	r.add(what, o.Problem)
	switch {
	case o.Complete, o.Problem != "" && o.Awaited == "":
	case o.Awaited != "":
		r.add(what, "waiting for "+o.Awaited)
	default:
		r.add(what, "not published yet")
	}
	for _, refused := range o.Refused {
		r.add(what, refused.Error())
	}
	for _, id := range o.Identities {
		if !expired(id.NotAfter, now) {
			continue
		}
		problem := fmt.Sprintf("%s of %s in %s expired at %s", kindName(id), id.ID, file(id), id.NotAfter.UTC().Format(time.RFC3339))
		if api == "" {
			problem += ", and the Workload API has sent no newer one: look at the agent's log, and at the clock here and there"
		}
		r.add(what, problem)
	}
}

// processProblem is why the process does not serve what is on disk.
func processProblem(p *supervisor.Status, now time.Time) string {
	switch {
	case p.Failure != "":
		return p.Failure
	case p.State == supervisor.StateBackoff && p.LastExit != nil:
		return fmt.Sprintf("it ended by itself with status %d, %s in a row, and is started again at %s: what it printed says why",
			p.LastExit.Status(), times(p.InARow), p.Backoff.UTC().Format(time.RFC3339))
	case p.InARow > 1 && p.LastExit != nil && now.Sub(p.Started) < steady:
		return fmt.Sprintf("it has been started again after it ended by itself with status %d, %s in a row: what it printed says why",
			p.LastExit.Status(), times(p.InARow))
	}
	return ""
}

// hookProblem is why a hook's target is not told.
func hookProblem(h *hook.Status) string {
	if h.LastError == nil {
		return ""
	}
	return fmt.Sprintf("%v; its target has not heard of the last rotation, and is told when that is mended, or at the next one", h.LastError)
}

// proofProblem is why a service is not known to serve what is on disk, or was before the
// rotation that is under way.
func proofProblem(p *notify.ProofStatus) string {
	if _, proven := p.Latency.Last(); p.Problem == "" && proven == 0 {
		return "the first one has not succeeded yet"
	}
	return p.Problem
}

// times writes a number of times.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// apiProblem is what is wrong with the Workload API, and what to check.
func (s *Status) apiProblem() string {
	if s.Source == nil {
		return ""
	}
	return s.Source.Problem()
}

// notes are what is to be known and no reason for not being ready.
func (s *Status) notes(why []string) []string {
	var r reasons
	if problem := s.apiProblem(); !slices.Contains(why, sentence(problem)) {
		r.add("", problem)
	}
	for i := range s.Outputs {
		for _, waiting := range s.Outputs[i].Waiting {
			r.add("output "+s.Outputs[i].Spec.Dir+": ", waiting)
		}
	}
	if s.Reload.Problem != "" {
		r.add("the configuration file is refused, the one before is in effect: ", s.Reload.Problem)
	}
	return r.list()
}
