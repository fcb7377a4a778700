package health

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// desc describes a metric of ours.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("svidhelper_"+name, help, labels, nil)
}

// The metrics. Times are absolute, in seconds since 1970: what is left of an
// SVID's life is for the one who asks to compute, whenever they ask.
var (
	descBuild = desc("build_info", "The version, as a label.", "version")
	descStart = desc("start_time_seconds", "When the helper started.")
	descReady = desc("ready", "1 if everything is on disk, unexpired, and was told to whom it concerns.")

	descExpiry     = desc("identity_expiry_timestamp_seconds", "When an SVID on disk expires.", "output", "kind", "spiffe_id", "hint", "file")
	descComplete   = desc("output_complete", "1 if everything that is configured is on disk.", "output")
	descPublished  = desc("output_last_success_timestamp_seconds", "When the Workload API's last word was last found, or put, on disk.", "output")
	descRotations  = desc("output_rotations_total", "Publishes that changed something.", "output")
	descOutFailed  = desc("output_failures_total", "Publishes that failed.", "output", "reason")
	descConnected  = desc("workload_api_connected", "1 while there is a connection to the Workload API.")
	descDials      = desc("workload_api_connection_attempts_total", "Attempts to connect to the Workload API.")
	descState      = desc("stream_state", "1 for the state that the stream of a profile is in.", "profile", "state")
	descAnswered   = desc("stream_last_success_timestamp_seconds", "When the Workload API last gave a good answer.", "profile")
	descStreamFail = desc("stream_failures_total", "Failures and refused answers.", "profile", "reason")

	descUp          = desc("process_up", "1 while the process runs.")
	descProcStart   = desc("process_start_time_seconds", "When the process was last started.")
	descRestarts    = desc("process_restarts_total", "Starts of the process after the first.")
	descProcRotated = desc("process_rotations_total", "Rotations that concern the process.")
	descProcTold    = desc("process_rotations_delivered_total", "Rotations that the process has been told of.")

	descHookAsked  = desc("hook_rotations_total", "Rotations that concern the hook.", "hook")
	descHookTold   = desc("hook_rotations_delivered_total", "Rotations that the hook's target has been told of.", "hook")
	descHookRuns   = desc("hook_runs_total", "Attempts to notify.", "hook")
	descHookFailed = desc("hook_failures_total", "Attempts to notify that failed.", "hook")
	descHookLast   = desc("hook_last_success_timestamp_seconds", "When the target was last told.", "hook")

	descProven        = desc("proof_success", "1 if the service was seen with the certificate of the last rotation.", "target", "address")
	descProofFailed   = desc("proof_failures_total", "Rotations that the service did not take up in time.", "target", "address")
	descProofAttempts = desc("proof_connections_total", "Connections made to see the certificate.", "target", "address")
	descProofLatency  = desc("proof_latency_seconds", "From publishing to seeing the service with the new certificate.", "target", "address")
)

// A collector turns the status of the moment into metrics.
type collector struct{ current func() Status }

// Describe describes nothing: which metrics there are depends on the status.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect is called at each scrape.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.current()
	g := gatherer{out: out, seen: make(map[string]bool)}
	ready, _ := s.ready(time.Now())
	g.gauge(descBuild, 1, s.Version)
	g.time(descStart, s.Started)
	g.bool(descReady, ready)
	g.bool(descConnected, s.Connection.Connected)
	g.count(descDials, s.Connection.Attempts)
	for _, p := range s.Profiles {
		g.gauge(descState, 1, p.Name, p.State)
		g.time(descAnswered, p.LastSuccess, p.Name)
		g.reasons(descStreamFail, p.Failures, p.Name)
	}
	for _, o := range s.Outputs {
		g.output(o)
	}
	if p := s.Process; p != nil {
		g.bool(descUp, p.PID != 0)
		g.time(descProcStart, p.Started)
		g.count(descRestarts, p.Restarts)
		g.count(descProcRotated, p.Rotated)
		g.count(descProcTold, p.Delivered)
	}
	for _, h := range s.Hooks {
		g.count(descHookAsked, h.Asked, h.Name)
		g.count(descHookTold, h.Delivered, h.Name)
		g.count(descHookRuns, h.Runs, h.Name)
		g.count(descHookFailed, h.Failures, h.Name)
		g.time(descHookLast, h.LastDelivered, h.Name)
	}
	for _, p := range s.Proofs {
		g.bool(descProven, p.Proven, p.Target, p.Address)
		g.count(descProofFailed, p.Failures, p.Target, p.Address)
		g.count(descProofAttempts, p.Attempts, p.Target, p.Address)
		g.latencies(descProofLatency, p.Latency, p.Target, p.Address)
	}
}

// A gatherer passes metrics on, each once: with one twice, the registry would
// refuse all of them.
type gatherer struct {
	out  chan<- prometheus.Metric
	seen map[string]bool
}

func (g gatherer) output(o Output) {
	g.bool(descComplete, o.Complete, o.Dir)
	g.time(descPublished, o.LastSuccess, o.Dir)
	g.count(descRotations, o.Rotations, o.Dir)
	g.reasons(descOutFailed, o.Failures, o.Dir)
	for _, i := range o.Identities {
		g.time(descExpiry, i.NotAfter, o.Dir, i.Kind, i.SPIFFEID, i.Hint, i.File)
	}
}

func (g gatherer) send(d *prometheus.Desc, labels []string, metric func(labels []string) prometheus.Metric) {
	clean := make([]string, len(labels))
	for i, l := range labels {
		clean[i] = strings.ToValidUTF8(l, "\uFFFD") // a path can be anything
	}
	key := d.String() + "\xff" + strings.Join(clean, "\xff")
	if !g.seen[key] {
		g.seen[key] = true
		g.out <- metric(clean)
	}
}

func (g gatherer) value(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels []string) {
	g.send(d, labels, func(labels []string) prometheus.Metric {
		return prometheus.MustNewConstMetric(d, kind, v, labels...)
	})
}

func (g gatherer) gauge(d *prometheus.Desc, v float64, labels ...string) {
	g.value(d, prometheus.GaugeValue, v, labels)
}

func (g gatherer) count(d *prometheus.Desc, n uint64, labels ...string) {
	g.value(d, prometheus.CounterValue, float64(n), labels)
}

func (g gatherer) bool(d *prometheus.Desc, b bool, labels ...string) {
	v := 0.0
	if b {
		v = 1
	}
	g.gauge(d, v, labels...)
}

// time leaves out what has not happened.
func (g gatherer) time(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		g.gauge(d, float64(t.UnixMilli())/1000, labels...)
	}
}

func (g gatherer) reasons(d *prometheus.Desc, counts map[string]uint64, labels ...string) {
	for reason, n := range counts {
		g.count(d, n, append(labels[:len(labels):len(labels)], reason)...)
	}
}

func (g gatherer) latencies(d *prometheus.Desc, l Latencies, labels ...string) {
	g.send(d, labels, func(labels []string) prometheus.Metric {
		return prometheus.MustNewConstHistogram(d, l.count, l.sum.Seconds(), l.cumulative(), labels...)
	})
}

// scrape answers in the text format, which every scraper reads. promhttp would
// add a third of a megabyte for compression and other formats.
func (s *Server) scrape(w http.ResponseWriter, _ *http.Request) {
	families, err := s.metrics.Gather()
	if err != nil {
		s.log.Error("metrics cannot be gathered", "error", err)
		http.Error(w, "metrics cannot be gathered: "+err.Error(), http.StatusInternalServerError)
		return
	}
	var body bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&body, f); err != nil {
			http.Error(w, "metrics cannot be written: "+err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	_, _ = body.WriteTo(w) // the client may be gone
}
