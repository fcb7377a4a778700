package health

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
)

// families parses a scrape as Prometheus does.
func families(t *testing.T, body string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMetrics(t *testing.T) {
	status := healthy()
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	ids := status.Outputs[0].Identities
	ids[0].NotAfter = end
	// twice the same, and a path that is not UTF-8, must not spoil the rest
	status.Outputs[0].Identities = append(ids, ids[0], encode.Identity{
		Selection: encode.Selection{Block: encode.BlockJWTSVID}, Audience: []string{"vault", "db"}, Files: []string{"\xff.jwt"}, NotAfter: end,
	})
	base := start(t, config.Health{}, func() Status { return status })
	code, body := get(t, base+"/metrics")
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	got := make(map[string]float64)
	for name, f := range families(t, body) {
		if !regexp.MustCompile("^(svidhelper|go|process)_").MatchString(name) {
			t.Errorf("metric %s has a prefix of its own", name)
		}
		for _, m := range f.GetMetric() {
			key := strings.TrimPrefix(name, "svidhelper_")
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, " "+l.GetName()+"="+l.GetValue())
			}
			slices.Sort(labels)
			key += strings.Join(labels, "")
			got[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for key, want := range map[string]float64{
		"ready": 1,
		"build_info goversion=" + runtime.Version() + " version=v1.2.3":                                                                                              1,
		"identity_expiry_timestamp_seconds audience= file=svid.pem hint= kind=x509_svid output=/run/tls spiffe_id=spiffe://example.org/web trust_domain=example.org": float64(end.Unix()),
		"identity_expiry_timestamp_seconds audience=vault,db file=?.jwt hint= kind=jwt_svid output=/run/tls spiffe_id= trust_domain=":                                float64(end.Unix()),
		"identity_refusals_total identity=X.509-SVID output=/run/tls reason=expired":                                                                                 2,
		"told_latency_seconds target=process":                                                1,
		"samples_left_out":                                                                   0,
		"output_rotations_total output=/run/tls":                                             7,
		"output_failures_total output=/run/tls reason=no_space":                              1,
		"workload_api_connected":                                                             1,
		"stream_state audience= hint= profile=x509_svid spiffe_id= state=streaming":          1,
		"stream_last_success_timestamp_seconds audience= hint= profile=x509_svid spiffe_id=": 1_700_000_000,
		"stream_failures_total audience= hint= profile=x509_svid reason=chain spiffe_id=":    2,
		"process_up":                                                    1,
		"process_restarts_total":                                        1,
		"hook_failures_total hook=pgbouncer":                            1,
		"proof_success address=127.0.0.1:8443 target=process":           1,
		"proof_latency_seconds address=127.0.0.1:8443 target=process":   2,
		"proof_connections_total address=127.0.0.1:8443 target=process": 12,
		"hook_rotations_delivered_total hook=pgbouncer":                 7,
		"process_rotations_delivered_total":                             7,
		"workload_api_connection_attempts_total":                        3,
		"output_complete output=/run/tls":                               1,
		"proof_failures_total address=127.0.0.1:8443 target=process":    0,
	} {
		if have, ok := got[key]; !ok || have != want {
			t.Errorf("%s is %v (%v), want %v", key, have, ok, want)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", err, problems)
	}
	t.Logf("%d metrics, %d bytes", len(got), len(body))
}

// TestTheTableOfMetrics: docs/metrics.md has each metric that is served, with its
// type, its labels and its meaning, and no other.
func TestTheTableOfMetrics(t *testing.T) {
	status := healthy()
	status.Reload.At = time.Now()
	status.Outputs[0].Refused = []publish.Refusal{{What: "X.509-SVID", Since: time.Now(), Reason: "absent"}}
	base := start(t, config.Health{}, func() Status { return status })
	_, body := get(t, base+"/metrics")
	var served []string
	for name, f := range families(t, body) {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		served = append(served, fmt.Sprintf("| `%s` | %s | %s | %s |", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp()))
	}
	file, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "| `") && (runtime.GOOS == "linux" || !strings.Contains(line, "(Linux)")) {
			documented = append(documented, strings.TrimSpace(line))
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("served, and documented in docs/metrics.md:\n%s", diff)
	}
}

// TestHostileNamesBoundAScrape: whatever the Workload API sends, a scrape, a
// status and a version of the page stay small, parse, and have nothing that moves
// a terminal's cursor.
func TestHostileNamesBoundAScrape(t *testing.T) {
	const evil = "\x1b]0;x\a\r\n\u009b2J\u202e\"}\\ 1\n<script>"
	status := healthy()
	now := time.Now()
	var ids []encode.Identity
	for i := range 3 * maxSamples {
		ids = append(ids, encode.Identity{
			Kind: snapshot.KindX509, Selection: encode.Selection{Block: encode.BlockX509SVID},
			ID:   spiffeid.RequireFromString(fmt.Sprintf("spiffe://td%d.example/%s%d", i, strings.Repeat("a", 1900), i)),
			Hint: fmt.Sprint(i, evil, strings.Repeat("é", 500)), Files: []string{fmt.Sprint(i, evil)}, Serial: strings.Repeat("f", 40),
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Duration(3*maxSamples-i) * time.Minute),
		})
	}
	status.Outputs[0].Identities = ids
	status.Outputs[0].Problem = strings.Repeat(evil, 10_000)
	status.Source.Connection.Address = evil
	for i := range 2 * maxSamples { // what a configuration asks for is bounded, and this is more
		status.Source.Profiles = append(status.Source.Profiles, &source.ProfileStatus{
			Profile: source.ProfileJWTSVID, Request: snapshot.NewJWTRequest([]string{fmt.Sprint(evil, i)}, spiffeid.ID{}, evil), State: source.StateFailed,
		})
	}
	base := start(t, config.Health{}, func() Status { return status })
	for path, most := range map[string]int{"/metrics": 4 << 20, "/status.json": 4 << 20, "/": 512 << 10, "/ready": 16 << 10} {
		code, body := get(t, base+path)
		if code != http.StatusOK && path != "/ready" || len(body) > most {
			t.Errorf("%s: %d, %d bytes, the most is %d", path, code, len(body), most)
		}
		if i := strings.IndexFunc(body, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s has a character that moves a cursor: %q", path, body[i:min(i+40, len(body))])
		}
		t.Logf("%s: %d bytes", path, len(body))
	}
	_, body := get(t, base+"/metrics")
	all := families(t, body)
	total := 0
	for name, f := range all {
		total += len(f.GetMetric())
		if len(f.GetMetric()) > maxSamples {
			t.Errorf("%s has %d samples", name, len(f.GetMetric()))
		}
	}
	if left := all["svidhelper_samples_left_out"].GetMetric()[0].GetGauge().GetValue(); left < 2*maxSamples {
		t.Errorf("%v samples are said to be left out", left)
	}
	soonest := float64(ids[len(ids)-1].NotAfter.UnixMilli()) / 1000
	if !slices.ContainsFunc(all["svidhelper_identity_expiry_timestamp_seconds"].GetMetric(), func(m *dto.Metric) bool { return m.GetGauge().GetValue() == soonest }) {
		t.Error("the identity that expires first is left out")
	}
	t.Logf("%d samples", total)
}
