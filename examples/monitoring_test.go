//go:build linux

package examples_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// A scrape is what /metrics served at one moment: the value of each series.
type scrape struct {
	at     time.Time
	text   string
	series map[string]float64
}

func scrapeOf(address string) (scrape, error) {
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return scrape{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return scrape{}, err
	}
	s := scrape{at: time.Now(), text: string(body), series: map[string]float64{}}
	for line := range strings.Lines(s.text) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
			if err != nil {
				return s, fmt.Errorf("%q: %w", line, err)
			}
			s.series[line[:i]] = value
		}
	}
	return s, nil
}

var (
	metricName = regexp.MustCompile(`\b(?:svidhelper|process|go)_[a-z_]+`)
)

// names are the metrics that a scrape has.
func (s scrape) names() map[string]bool {
	names := map[string]bool{}
	for series := range s.series {
		name, _, _ := strings.Cut(series, "{")
		names[name] = true
	}
	return names
}

// has reports whether there is such a series with a value that is good.
func (s scrape) has(name string, good func(float64) bool) bool {
	for series, v := range s.series {
		if strings.HasPrefix(series, name) && good(v) {
			return true
		}
	}
	return false
}

// A patient is a real svidhelper with everything that the alerts are about, and
// a way to break all of it.
type patient struct {
	t       *testing.T
	api     *devapi.Server
	dir     string
	health  string
	stuck   atomic.Pointer[tls.Certificate] // what the service serves from then on
	service string
}

func (p *patient) in(name string) string { return filepath.Join(p.dir, name) }

func (p *patient) pair() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(p.in("tls/svid.pem"), p.in("tls/svid_key.pem"))
	return &c, err
}

func (p *patient) serve() {
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c := p.stuck.Load(); c != nil {
			return c, nil
		}
		return p.pair()
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _ = conn.(*tls.Conn).Handshake(); conn.Close() })
		}
	})
	p.t.Cleanup(func() { ln.Close(); serving.Wait() })
	p.service = ln.Addr().(*net.TCPAddr).String()
}

func (p *patient) write(more string) string {
	return adaptText(p.t, fmt.Sprintf(`
agent_address    = %q
revocation_grace = "50ms"
output %q {
  x509_svid { spiffe_id = %q }
  jwt_svid {
    audience = ["vault"]
    file     = "vault.jwt"
  }
}
process {
  command     = ["sh", "-c", "while [ ! -e %s ]; do sleep 0.02; done; exit 3"]
  restart     = "always"
  on_rotation = "none"
  proof {
    tls     = %q
    timeout = "500ms"
  }
}
hook "other" {
  command = ["sh", "-c", "[ ! -e %s ]"]
}
health { address = %q }
%s`, p.api.Addr(), p.in("tls"), p.api.SVIDs()[0].ID, p.in("broken"), p.service, p.in("broken"), p.health, more), p.dir, "helper.conf")
}

// await waits until a scrape has what it should.
func (p *patient) await(good func(scrape) bool) (s scrape) {
	p.t.Helper()
	testbed.Eventually(p.t, func() error {
		var err error
		if s, err = scrapeOf(p.health); err != nil || !good(s) {
			return testbed.NotYet("%v, metrics:\n%s", err, s.text)
		}
		return nil
	})
	return s
}

func is(want float64) func(float64) bool { return func(v float64) bool { return v == want } }
func atLeast(n float64) func(float64) bool {
	return func(v float64) bool { return v >= n }
}

// scrapes runs svidhelper, and returns what it serves when all is well and when
// nothing is.
func scrapes(t *testing.T) (well, broken scrape) {
	p := &patient{
		t: t, dir: t.TempDir(), health: freeAddress(t),
		api: startAPI(t, devapi.Config{Identities: []devapi.Identity{identity("web")}, TTL: time.Hour, JWTTTL: time.Hour}),
	}
	p.serve()
	file := p.write("")
	helper := start(t, exec.Command(svidhelper, "run", "-config", file))
	p.await(func(s scrape) bool {
		return s.has("svidhelper_ready", is(1)) && s.has("svidhelper_proof_success", is(1)) && s.has("svidhelper_hook_rotations_delivered_total", is(1))
	})
	rotate(t, p.api)
	well = p.await(func(s scrape) bool {
		return s.has("svidhelper_proof_latency_seconds_count", is(2)) && s.has("svidhelper_hook_rotations_delivered_total", is(2)) && s.has("svidhelper_ready", is(1))
	})

	stuck, err := p.pair()
	if err != nil {
		t.Fatal(err)
	}
	p.stuck.Store(stuck)
	adaptText(t, "", p.dir, "broken")
	rotate(t, p.api)
	p.await(func(s scrape) bool {
		return s.has("svidhelper_proof_failures_total", atLeast(1)) && s.has("svidhelper_hook_failures_total", atLeast(1))
	})
	p.write("no_such_key = 1")
	if err := p.api.SetIdentities(identity("other")); err != nil {
		t.Fatal(err)
	}
	p.await(func(s scrape) bool {
		return s.has("svidhelper_identity_refused_timestamp_seconds", atLeast(1)) && s.has("svidhelper_config_last_reload_successful", is(0)) &&
			s.has("svidhelper_process_crashes_total", atLeast(4))
	})
	p.api.Down()
	broken = p.await(func(s scrape) bool { return s.has("svidhelper_workload_api_connected", is(0)) })
	_ = helper.cmd.Process.Signal(os.Interrupt)
	<-helper.done
	return well, broken
}

// A promSeries is an input of promtool test rules.
type promSeries struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

// inputs are the series of scrapes, each for so many minutes. A moment in time is
// as far from the scrape as it was: promtool's clock begins in 1970.
func inputs(names map[string]bool, phases ...phase) []promSeries {
	all := map[string]bool{}
	for _, p := range phases {
		for series := range p.of.series {
			if name, _, _ := strings.Cut(series, "{"); names[name] {
				all[series] = true
			}
		}
	}
	var inputs []promSeries
	for _, series := range slices.Sorted(maps.Keys(all)) {
		var values []string
		begin := 0
		for _, p := range phases {
			v, has := p.of.series[series]
			if strings.Contains(series, "_timestamp_seconds") {
				v += float64(begin*60) - float64(p.of.at.Unix())
			}
			for range p.minutes {
				if has {
					values = append(values, strconv.FormatFloat(v, 'f', -1, 64))
				} else {
					values = append(values, "_")
				}
			}
			begin += p.minutes
		}
		name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		inputs = append(inputs, promSeries{strings.TrimSuffix(name+`{job="svidhelper",instance="web-1:8081",`+labels, ",") + "}", strings.Join(values, " ")})
	}
	return inputs
}

type phase struct {
	of      scrape
	minutes int
}

// promtool runs promtool on a file that holds a value as JSON, which is YAML.
func promtool(t *testing.T, program string, value any, args ...string) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, append(args, adaptText(t, string(text), t.TempDir(), "test.yml"))...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// TestAlertsFire has promtool fire each alert on what a real svidhelper serves, and
// none of them while all is well.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	program := need(t, "promtool")
	well, broken := scrapes(t)

	rules, err := filepath.Abs("monitoring/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range metricName.FindAllString(string(text), -1) {
		names[name] = true
	}
	var alerts []string
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(text), -1) {
		alerts = append(alerts, m[1])
	}
	readme, err := os.ReadFile("monitoring/README.md")
	if err != nil {
		t.Fatal(err)
	}

	const rotating, expiring = "SvidhelperNotRotating", "SvidhelperIdentityExpiring"
	type moment struct {
		at     string
		firing func(alert string) bool
	}
	none := func(string) bool { return false }
	only := func(names ...string) func(string) bool {
		return func(a string) bool { return slices.Contains(names, a) }
	}
	var groups []any
	for _, g := range []struct {
		phases  []phase
		moments []moment
	}{
		{[]phase{{well, 21}}, []moment{{"10m", none}, {"20m", none}}},
		{[]phase{{well, 70}}, []moment{{"30m", none}, {"45m", only(rotating)}, {"57m", only(rotating, expiring)}, {"65m", only(rotating, expiring)}}},
		{[]phase{{well, 10}, {broken, 21}}, []moment{
			{"9m", none}, {"20m", func(a string) bool { return a != rotating && a != expiring }},
		}},
	} {
		var tests []any
		for _, m := range g.moments {
			for _, alert := range alerts {
				samples := []any{}
				if m.firing(alert) {
					samples = append(samples, map[string]any{"labels": "{}", "value": 1})
				}
				tests = append(tests, map[string]any{
					"expr": fmt.Sprintf(`max(ALERTS{alertname=%q,alertstate="firing"})`, alert), "eval_time": m.at, "exp_samples": samples,
				})
			}
		}
		groups = append(groups, map[string]any{"interval": "1m", "input_series": inputs(names, g.phases...), "promql_expr_test": tests})
	}
	promtool(t, program, map[string]any{"rule_files": []string{rules}, "evaluation_interval": "1m", "tests": groups}, "test", "rules")

	served := broken.names()
	for name := range names {
		if !served[name] {
			t.Errorf("alerts.yml has %s, which is not served", name)
		}
	}
	for _, alert := range alerts {
		if !strings.Contains(string(readme), "| "+alert+" |") {
			t.Errorf("the README lacks %s", alert)
		}
	}

	check := exec.Command(program, "check", "metrics")
	check.Stdin = strings.NewReader(broken.text)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	checkDashboard(t, program, served)
}

// checkDashboard checks that each query of the dashboard can be parsed, and asks
// for what is served.
func checkDashboard(t *testing.T, program string, served map[string]bool) {
	t.Helper()
	file, err := os.ReadFile("monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.NewDecoder(bytes.NewReader(file)).Decode(&board); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$job", ".*")
	var rules []any
	for _, p := range board.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q has no query", p.Title)
		}
		for _, target := range p.Targets {
			rules = append(rules, map[string]any{"record": fmt.Sprintf("dashboard:query:%d", len(rules)), "expr": variables.Replace(target.Expr)})
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				if !served[name] {
					t.Errorf("panel %q asks for %s, which is not served", p.Title, name)
				}
			}
		}
	}
	promtool(t, program, map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}}, "check", "rules")
	t.Logf("%d panels, %d queries", len(board.Panels), len(rules))
}
