package health

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/publish"
)

// The metrics. Times are absolute, in seconds since 1970: what is left of an
// SVID's life is for the reader to compute, at the time of reading.
var (
	metricBuild = &metric{"svidhelper_build_info", "The version, as a label.", []string{"version"}}
	metricStart = &metric{"svidhelper_start_time_seconds", "When the helper started.", nil}
	metricReady = &metric{"svidhelper_ready", "1 if everything is on disk, unexpired, and every target has been told of it.", nil}

	metricReloadOK = &metric{"svidhelper_config_last_reload_successful", "1 if the configuration file as it is now is in effect.", nil}
	metricReloadAt = &metric{"svidhelper_config_last_reload_timestamp_seconds", "When the configuration file last took effect after a change, or was refused.", nil}
	metricReloads  = &metric{"svidhelper_config_reloads_total", "Changed configuration files, by what became of them.", []string{"outcome"}}

	metricExpiry     = &metric{"svidhelper_identity_expiry_timestamp_seconds", "When an SVID on disk expires.", []string{"output", "kind", "spiffe_id", "hint", "file"}}
	metricRefused    = &metric{"svidhelper_identity_refused_timestamp_seconds", "Since when the Workload API refuses an identity, after the grace period.", []string{"output", "identity", "spiffe_id"}}
	metricComplete   = &metric{"svidhelper_output_complete", "1 if everything that is configured is on disk.", []string{"output"}}
	metricPublished  = &metric{"svidhelper_output_last_success_timestamp_seconds", "When the Workload API's last word was last found, or put, on disk.", []string{"output"}}
	metricRotations  = &metric{"svidhelper_output_rotations_total", "Publishes that changed something.", []string{"output"}}
	metricOutFailed  = &metric{"svidhelper_output_failures_total", "Publishes that failed.", []string{"output", "reason"}}
	metricConnected  = &metric{"svidhelper_workload_api_connected", "1 while there is a connection to the Workload API.", nil}
	metricDials      = &metric{"svidhelper_workload_api_connection_attempts_total", "Attempts to connect to the Workload API.", nil}
	metricState      = &metric{"svidhelper_stream_state", "1 for the state that the stream of a profile is in.", []string{"profile", "state"}}
	metricAnswered   = &metric{"svidhelper_stream_last_success_timestamp_seconds", "When the Workload API last gave a good answer.", []string{"profile"}}
	metricStreamFail = &metric{"svidhelper_stream_failures_total", "Failures and refused answers.", []string{"profile", "reason"}}

	metricUp          = &metric{"svidhelper_process_up", "1 while the process runs.", nil}
	metricProcStart   = &metric{"svidhelper_process_start_time_seconds", "When the process was last started.", nil}
	metricRestarts    = &metric{"svidhelper_process_restarts_total", "Starts of the process after the first.", nil}
	metricProcRotated = &metric{"svidhelper_process_rotations_total", "Rotations that concern the process.", nil}
	metricProcTold    = &metric{"svidhelper_process_rotations_delivered_total", "Rotations that the process has been told of.", nil}

	metricHookAsked  = &metric{"svidhelper_hook_rotations_total", "Rotations that concern the hook.", []string{"hook"}}
	metricHookTold   = &metric{"svidhelper_hook_rotations_delivered_total", "Rotations that the hook's target has been told of.", []string{"hook"}}
	metricHookRuns   = &metric{"svidhelper_hook_runs_total", "Attempts to notify.", []string{"hook"}}
	metricHookFailed = &metric{"svidhelper_hook_failures_total", "Attempts to notify that failed.", []string{"hook"}}
	metricHookLast   = &metric{"svidhelper_hook_last_success_timestamp_seconds", "When the target was last told.", []string{"hook"}}

	metricProven        = &metric{"svidhelper_proof_success", "1 if the service was seen with the certificate of the last rotation.", []string{"target", "address"}}
	metricProofFailed   = &metric{"svidhelper_proof_failures_total", "Rotations that the service did not take up in time.", []string{"target", "address"}}
	metricProofAttempts = &metric{"svidhelper_proof_connections_total", "Connections made to see the certificate.", []string{"target", "address"}}
	metricProofLatency  = &metric{"svidhelper_proof_latency_seconds", "From publishing to seeing the service with the new certificate.", []string{"target", "address"}}
)

// write turns a status into metrics.
func (s *Status) write(e *exposition) {
	ready, _ := s.ready(time.Now())
	e.gauge(metricBuild, 1, s.Version)
	e.time(metricStart, s.Started)
	e.bool(metricReady, ready)
	e.bool(metricReloadOK, s.Reload.Problem == "")
	e.time(metricReloadAt, s.Reload.At)
	e.count(metricReloads, s.Reload.Done, "done")
	e.count(metricReloads, s.Reload.Refused, "refused")
	e.bool(metricConnected, s.Source.Connection.Connected)
	e.count(metricDials, s.Source.Connection.Attempts)
	for _, p := range s.Source.Profiles {
		name := p.Name()
		e.gauge(metricState, 1, name, string(p.State))
		e.time(metricAnswered, p.LastSuccess, name)
		if p.Failures > 0 {
			e.count(metricStreamFail, p.Failures, name, "error")
		}
		for _, reason := range slices.Sorted(maps.Keys(p.Rejected)) {
			e.count(metricStreamFail, p.Rejected[reason], name, string(reason))
		}
	}
	for i := range s.Outputs {
		e.output(&s.Outputs[i])
	}
	if p := s.Process; p != nil {
		e.bool(metricUp, p.PID != 0)
		e.time(metricProcStart, p.Started)
		e.count(metricRestarts, p.Restarts)
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
	for _, p := range s.Proofs {
		e.bool(metricProven, p.Proven, p.Target, p.Address)
		e.count(metricProofFailed, p.Failures, p.Target, p.Address)
		e.count(metricProofAttempts, p.Attempts, p.Target, p.Address)
		e.latencies(metricProofLatency, p.Latency, p.Target, p.Address)
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
	for _, id := range o.Identities {
		e.time(metricExpiry, id.NotAfter, dir, kindName(id), id.ID.String(), id.Hint, file(id))
	}
	for _, r := range o.Refused {
		e.time(metricRefused, r.Since, dir, r.What, r.ID.String())
	}
}

func (e *exposition) gauge(m *metric, v float64, labels ...string) {
	e.value(m, "gauge", v, labels)
}

func (e *exposition) count(m *metric, n uint64, labels ...string) {
	e.value(m, "counter", float64(n), labels)
}

func (e *exposition) bool(m *metric, b bool, labels ...string) {
	v := 0.0
	if b {
		v = 1
	}
	e.gauge(m, v, labels...)
}

// time leaves out what has not happened.
func (e *exposition) time(m *metric, t time.Time, labels ...string) {
	if !t.IsZero() {
		e.gauge(m, float64(t.UnixMilli())/1000, labels...)
	}
}

// scrape answers in the text format, which every scraper reads.
func (s *Server) scrape(w http.ResponseWriter, _ *http.Request) {
	status, e := s.current(), newExposition()
	status.write(e)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_ = e.writeTo(w) // the client may be gone
}
