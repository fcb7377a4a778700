package health

import (
	"cmp"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/source"
)

// The metrics. Times are absolute, in seconds since 1970: what is left of an
// SVID's life is for the reader to compute, at the time of reading. docs/metrics.md
// has the same table.
var (
	metricBuild   = &metric{gauge, "svidhelper_build_info", "The version, and the Go that it was built with, as labels.", []string{"version", "goversion"}}
	metricStart   = &metric{gauge, "svidhelper_start_time_seconds", "When svidhelper started.", nil}
	metricReady   = &metric{gauge, "svidhelper_ready", "1 if everything is on disk, unexpired, and every target has been told of it.", nil}
	metricLeftOut = &metric{gauge, "svidhelper_samples_left_out", "Samples that this scrape lacks, since a metric has at most 1,024.", nil}

	metricReloadOK = &metric{gauge, "svidhelper_config_last_reload_successful", "1 if the configuration file as it is now is in effect.", nil}
	metricReloadAt = &metric{gauge, "svidhelper_config_last_reload_timestamp_seconds", "When the configuration file last took effect after a change, or was refused.", nil}
	metricReloads  = &metric{counter, "svidhelper_config_reloads_total", "Changed configuration files, by what became of them: done or refused.", []string{"outcome"}}

	identityLabels = []string{"output", "kind", "trust_domain", "spiffe_id", "hint", "audience", "file"}
	metricExpiry   = &metric{gauge, "svidhelper_identity_expiry_timestamp_seconds", "When an SVID on disk expires.", identityLabels}
	metricBegin    = &metric{gauge, "svidhelper_identity_begin_timestamp_seconds", "When the life of an SVID on disk began: its notBefore, or when a token was issued.", identityLabels}
	metricRefused  = &metric{gauge, "svidhelper_identity_refused_timestamp_seconds", "Since when the Workload API refuses an identity, after the grace period.", []string{"output", "identity", "spiffe_id", "reason"}}
	metricRefusals = &metric{counter, "svidhelper_identity_refusals_total", "How often an identity that an output asks for was denied, absent, or given in a way that cannot be used.", []string{"output", "identity", "reason"}}

	metricComplete  = &metric{gauge, "svidhelper_output_complete", "1 if everything that is configured is on disk.", []string{"output"}}
	metricPublished = &metric{gauge, "svidhelper_output_last_success_timestamp_seconds", "When the Workload API's last word was last found, or put, on disk.", []string{"output"}}
	metricRotations = &metric{counter, "svidhelper_output_rotations_total", "Publishes that changed something.", []string{"output"}}
	metricOutFailed = &metric{counter, "svidhelper_output_failures_total", "Publishes that failed.", []string{"output", "reason"}}

	metricConnected  = &metric{gauge, "svidhelper_workload_api_connected", "1 while there is a connection to the Workload API.", nil}
	metricDials      = &metric{counter, "svidhelper_workload_api_connection_attempts_total", "Attempts to connect to the Workload API.", nil}
	streamLabels     = []string{"profile", "audience", "spiffe_id", "hint"}
	metricState      = &metric{gauge, "svidhelper_stream_state", "1 for the state that the stream of a profile, or the request for a token, is in.", with(streamLabels, "state")}
	metricAnswered   = &metric{gauge, "svidhelper_stream_last_success_timestamp_seconds", "When the Workload API last gave a good answer.", streamLabels}
	metricStreamFail = &metric{counter, "svidhelper_stream_failures_total", "Errors, and answers that were refused as a whole or in part.", with(streamLabels, "reason")}

	metricUp          = &metric{gauge, "svidhelper_process_up", "1 while the process runs.", nil}
	metricProcStart   = &metric{gauge, "svidhelper_process_start_time_seconds", "When the process was last started.", nil}
	metricRestarts    = &metric{counter, "svidhelper_process_restarts_total", "Starts of the process after the first.", nil}
	metricCrashes     = &metric{counter, "svidhelper_process_crashes_total", "Ends of the process that svidhelper did not ask for, each followed by a restart.", nil}
	metricProcRotated = &metric{counter, "svidhelper_process_rotations_total", "Rotations that concern the process.", nil}
	metricProcTold    = &metric{counter, "svidhelper_process_rotations_delivered_total", "Rotations that the process has been told of.", nil}

	metricHookAsked  = &metric{counter, "svidhelper_hook_rotations_total", "Rotations that concern the hook.", []string{"hook"}}
	metricHookTold   = &metric{counter, "svidhelper_hook_rotations_delivered_total", "Rotations that the hook's target has been told of.", []string{"hook"}}
	metricHookRuns   = &metric{counter, "svidhelper_hook_runs_total", "Attempts to notify.", []string{"hook"}}
	metricHookFailed = &metric{counter, "svidhelper_hook_failures_total", "Attempts to notify that failed.", []string{"hook"}}
	metricHookLast   = &metric{gauge, "svidhelper_hook_last_success_timestamp_seconds", "When the target was last told.", []string{"hook"}}

	metricTold          = &metric{histogram, "svidhelper_told_latency_seconds", "From the Workload API's answer to the moment when the target was told.", []string{"target"}}
	proofLabels         = []string{"target", "address"}
	metricProven        = &metric{gauge, "svidhelper_proof_success", "1 if the service was seen with the certificate of the last rotation.", proofLabels}
	metricProofFailed   = &metric{counter, "svidhelper_proof_failures_total", "Rotations that the service did not take up in time.", proofLabels}
	metricProofAttempts = &metric{counter, "svidhelper_proof_connections_total", "Connections made to see the certificate; of a proof that is only a command, its runs.", proofLabels}
	metricProofLatency  = &metric{histogram, "svidhelper_proof_latency_seconds", "From publishing to seeing the service with the new certificate.", proofLabels}
)

// with returns labels and one more.
func with(labels []string, more string) []string { return append(slices.Clone(labels), more) }

// write turns a status into metrics.
func (s *Status) write(e *exposition) {
	ready, _ := s.Ready(time.Now())
	e.value(metricBuild, 1, s.Version, runtime.Version())
	e.time(metricStart, s.Started)
	e.bool(metricReady, ready)
	e.bool(metricReloadOK, s.Reload.Problem == "")
	e.time(metricReloadAt, s.Reload.At)
	e.count(metricReloads, s.Reload.Done, "done")
	e.count(metricReloads, s.Reload.Refused, "refused")
	e.source(s.Source)
	for i := range s.Outputs {
		e.output(&s.Outputs[i])
	}
	e.targets(s)
	e.self()
	e.value(metricLeftOut, float64(e.leftOut))
}

func (e *exposition) source(s *source.Status) {
	e.bool(metricConnected, s.Connection.Connected)
	e.count(metricDials, s.Connection.Attempts)
	for _, p := range s.Profiles {
		stream := []string{string(p.Profile), "", "", ""}
		if p.Profile == source.ProfileJWTSVID {
			stream = []string{string(p.Profile), p.Request.String(), p.Request.ID.String(), p.Request.Hint}
		}
		e.value(metricState, 1, with(stream, string(p.State))...)
		e.time(metricAnswered, p.LastSuccess, stream...)
		e.count(metricStreamFail, p.Failures, with(stream, "error")...)
		for _, reason := range slices.Sorted(maps.Keys(p.Rejected)) {
			e.count(metricStreamFail, p.Rejected[reason], with(stream, string(reason))...)
		}
	}
}

func (e *exposition) output(o *publish.Status) {
	dir := o.Spec.Dir
	e.bool(metricComplete, o.Complete, dir)
	e.time(metricPublished, o.LastSuccess, dir)
	e.count(metricRotations, o.Rotations, dir)
	for _, reason := range slices.Sorted(maps.Keys(o.Failures)) {
		e.count(metricOutFailed, o.Failures[reason], dir, reason)
	}
	for _, id := range soonest(o.Identities) {
		labels := []string{dir, kindName(id), id.ID.TrustDomain().Name(), id.ID.String(), id.Hint, strings.Join(id.Audience, ","), file(id)}
		e.time(metricExpiry, id.NotAfter, labels...)
		e.time(metricBegin, begin(id), labels...)
	}
	for _, r := range o.Refused {
		e.time(metricRefused, r.Since, dir, r.What, r.ID.String(), r.Reason)
	}
	for _, r := range slices.SortedFunc(maps.Keys(o.Refusals), publish.Refused.Compare) {
		e.count(metricRefusals, o.Refusals[r], dir, r.What, r.Reason)
	}
}

// soonest sorts identities by their end: where there are too many, those that
// come last are the ones to leave out.
func soonest(identities []encode.Identity) []encode.Identity {
	return slices.SortedStableFunc(slices.Values(identities), func(a, b encode.Identity) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(file(a), file(b)))
	})
}

func (e *exposition) targets(s *Status) {
	if p := s.Process; p != nil {
		e.bool(metricUp, p.PID != 0)
		e.time(metricProcStart, p.Started)
		e.count(metricRestarts, p.Restarts)
		e.count(metricCrashes, p.Crashes)
		e.count(metricProcRotated, p.Rotated)
		e.count(metricProcTold, p.Delivered)
	}
	for _, h := range s.Hooks {
		e.count(metricHookAsked, h.Asked, h.Name)
		e.count(metricHookTold, h.Delivered, h.Name)
		e.count(metricHookRuns, h.Runs, h.Name)
		e.count(metricHookFailed, h.Failures, h.Name)
		e.time(metricHookLast, h.LastDelivered, h.Name)
	}
	for _, t := range s.Told {
		e.latencies(metricTold, t.Latency, t.Target)
	}
	for _, p := range s.Proofs {
		e.bool(metricProven, p.Proven, p.Target, p.Address)
		e.count(metricProofFailed, p.Failures, p.Target, p.Address)
		e.count(metricProofAttempts, p.Attempts, p.Target, p.Address)
		e.latencies(metricProofLatency, p.Latency, p.Target, p.Address)
	}
}

// scrape answers in the text format, which every scraper reads.
func (s *Server) scrape(w http.ResponseWriter, _ *http.Request) {
	status, e := s.current(), newExposition()
	status.write(e)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_ = e.writeTo(w) // the client may be gone
}
