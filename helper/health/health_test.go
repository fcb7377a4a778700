package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/notify"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
	"github.com/svidhelper/svidhelper/writer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// healthy is a status with something in every part, and nothing wrong.
func healthy() Status {
	return Status{
		Version: "v1.2.3",
		Started: time.Now().Add(-time.Hour),
		Source: &source.Status{
			Connection: source.Connection{Address: "unix:///run/api.sock", Connected: true, Attempts: 3},
			Profiles: []*source.ProfileStatus{{
				Profile: source.ProfileX509SVID, State: source.StateStreaming, LastSuccess: time.Unix(1_700_000_000, 0),
				Failures: 1, Rejected: map[source.Reason]uint64{"chain": 2},
			}},
		},
		Outputs: []publish.Status{{
			Spec: &encode.Output{
				Spec:      writer.Spec{Dir: "/run/tls"},
				X509SVIDs: []encode.X509SVID{{Cert: encode.FileSpec{Name: "svid.pem"}}},
				JWTSVIDs:  []encode.JWTSVID{{Audience: []string{"a"}, File: encode.FileSpec{Name: "a.jwt"}}},
			},
			Complete: true, Rotations: 7, LastSuccess: time.Now(),
			Failures: map[string]uint64{"no_space": 1},
			Identities: []encode.Identity{{
				Kind: snapshot.KindX509, Selection: encode.Selection{Block: encode.BlockX509SVID}, ID: web,
				Files: []string{"svid.pem"}, Serial: "abc", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			}},
			Refusals: map[publish.Refused]uint64{{What: "X.509-SVID", Reason: "expired"}: 2},
			Has:      func(encode.FileSpec) bool { return true },
		}},
		Process: &supervisor.Status{State: supervisor.StateRunning, PID: 42, Started: time.Now(), Restarts: 1, Rotated: 7, Delivered: 7},
		Told:    []notify.ToldStatus{{Target: "process", Latency: notify.Latencies{}.Observe(2 * time.Millisecond)}},
		Hooks:   []hook.Status{{Name: "pgbouncer", Asked: 7, Delivered: 7, Runs: 8, Failures: 1, LastDelivered: time.Now()}},
		Proofs: []notify.ProofStatus{{
			Target: "process", Address: "127.0.0.1:8443", Served: "abc", Want: "abc", Proven: true, Attempts: 12,
			Latency: notify.Latencies{}.Observe(30 * time.Millisecond).Observe(2 * time.Hour),
		}},
	}
}

var web = spiffeid.RequireFromString("spiffe://example.org/web")

// start serves what current returns and stops with the test.
func start(t *testing.T, cfg config.Health, current func() Status) (base string) {
	t.Helper()
	cfg.Address = "127.0.0.1:0"
	s, err := New(cfg, current, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return "http://" + s.Addr().String()
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestChecksAnswerAsSpiffeHelperDoes(t *testing.T) {
	status := healthy()
	// file is a path of this system in JSON.
	file := func(p string) string { return strings.ReplaceAll(filepath.FromSlash(p), `\`, `\\`) }
	base := start(t, config.Health{}, func() Status { return status })
	want := `{"status":"OK","health":{"file_write_statuses":{"x509_write_status":"written","jwt_write_status":{"` + file("/run/tls/a.jwt") + `":"written"}}}}` + "\n"
	for _, path := range []string{"/live", "/ready"} {
		if code, body := get(t, base+path); code != 200 || body != want {
			t.Errorf("%s = %d %s, want 200 %s", path, code, body, want)
		}
	}
	status.Outputs[0].Spec = &encode.Output{Spec: writer.Spec{Dir: "/run/tls"}, JWTSVIDs: []encode.JWTSVID{{File: encode.FileSpec{Name: "b.jwt"}}}}
	status.Outputs[0].Has = func(encode.FileSpec) bool { return false }
	want = `{"status":"OK","health":{"file_write_statuses":{"jwt_write_status":{"` + file("/run/tls/b.jwt") + `":"unwritten"}}}}` + "\n"
	if code, body := get(t, base+"/ready"); code != 200 || body != want {
		t.Errorf("/ready = %d %s, want 200 %s", code, body, want)
	}
	status.Outputs[0].Problem = "disk full"
	want = `{"status":"Service Unavailable","health":{"file_write_statuses":{"jwt_write_status":{"` + file("/run/tls/b.jwt") + `":"failed"}}},"reasons":["output /run/tls: disk full"]}` + "\n"
	if code, body := get(t, base+"/ready"); code != 503 || body != want {
		t.Errorf("/ready = %d %s, want 503 %s", code, body, want)
	}
	if code, _ := get(t, base+"/live"); code != 200 {
		t.Errorf("/live = %d for a trouble that is not the helper's", code)
	}
	status.NeedsWrites = true
	if code, body := get(t, base+"/live"); code != 503 || !strings.Contains(body, "could not be written") {
		t.Errorf("/live, which needs writes, = %d %s", code, body)
	}
}

// TestRefusedFileIsNoted: a configuration file that is refused is said in ready,
// without turning it.
func TestRefusedFileIsNoted(t *testing.T) {
	status := healthy()
	status.Reload = Reload{At: time.Now(), Refused: 1, Problem: "helper.conf:2:1: error:\n  unknown key"}
	base := start(t, config.Health{}, func() Status { return status })
	if code, body := get(t, base+"/ready"); code != 200 || !strings.Contains(body, `"notes":["the configuration file is refused, the one before is in effect: helper.conf:2:1: error: unknown key"]`) {
		t.Errorf("/ready = %d %s", code, body)
	}
	if _, body := get(t, base+"/metrics"); !strings.Contains(body, "svidhelper_config_last_reload_successful 0\n") {
		t.Error(body)
	}
	if _, body := get(t, base+"/"); !strings.Contains(body, "unknown key") {
		t.Error(body)
	}
}

func TestReady(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		change func(*Status)
		why    string // empty: ready
	}{
		"all is well":        {func(*Status) {}, ""},
		"nothing configured": {func(s *Status) { *s = Status{} }, ""},
		"not connected": {func(s *Status) {
			s.Source.Connection.Connected = false
			s.Source.Profiles[0].LastError = errors.New("refused")
		}, ""},
		"not published":        {func(s *Status) { s.Outputs[0].Complete = false }, "output /run/tls: not published yet"},
		"something is missing": {func(s *Status) { s.Outputs[0].Complete, s.Outputs[0].Awaited = false, "jwt_svid" }, "output /run/tls: waiting for jwt_svid"},
		"publish failed":       {func(s *Status) { s.Outputs[0].Problem = "read-only" }, "output /run/tls: read-only"},
		"expires this moment": {func(s *Status) { s.Outputs[0].Identities[0].NotAfter = now }, "output /run/tls: x509_svid of spiffe://example.org/web in svid.pem expired at " + now.UTC().Format(time.RFC3339) +
			", and the Workload API has sent no newer one: look at the agent's log, and at the clock here and there"},
		"never expires": {func(s *Status) { s.Outputs[0].Identities[0].NotAfter = time.Time{} }, ""},
		"refused": {func(s *Status) {
			s.Outputs[0].Refused = []publish.Refusal{{What: "X.509-SVID", Since: time.Unix(0, 0), Why: "no identity"}}
		}, "output /run/tls: X.509-SVID is refused since 1970-01-01T00:00:00Z: no identity"},
		"process": {func(s *Status) { s.Process.Failure = "not told" }, "process: not told"},
		"hook":    {func(s *Status) { s.Hooks[0].LastError = errors.New("exit status 1") }, "hook pgbouncer: exit status 1; its target has not heard of the last rotation, and is told when that is mended, or at the next one"},
		"crashed": {func(s *Status) {
			s.Process.State, s.Process.LastExit, s.Process.InARow = supervisor.StateBackoff, &supervisor.Exit{Code: 3}, 2
			s.Process.Backoff = now
		}, "process: it ended by itself with status 3, 2 times in a row, and is started again at " + now.UTC().Format(time.RFC3339) + ": what it printed says why"},
		"crashed, and has just been started": {func(s *Status) {
			s.Process.LastExit, s.Process.InARow, s.Process.Started = &supervisor.Exit{Code: 3}, 2, now
		}, "process: it has been started again after it ended by itself with status 3, 2 times in a row: what it printed says why"},
		"crashed, and runs long enough": {func(s *Status) {
			s.Process.LastExit, s.Process.InARow, s.Process.Started = &supervisor.Exit{Code: 3}, 2, now.Add(-steady)
		}, ""},
		"a reload whose process cannot start": {func(s *Status) { s.Unstarted = "no right" },
			"process: the one of the new configuration is not started, the one before goes on: no right"},
		"proof": {func(s *Status) { s.Proofs[0].Problem = "serves abd" }, "proof of process: serves abd"},
		"the first proof is under way": {func(s *Status) {
			s.Proofs[0].Proven, s.Proofs[0].Served, s.Proofs[0].Latency = false, "", notify.Latencies{}
		}, "proof of process: the first one has not succeeded yet"},
		"the first proof has failed": {func(s *Status) {
			s.Proofs[0].Proven, s.Proofs[0].Problem, s.Proofs[0].Latency = false, "serves abd", notify.Latencies{}
		}, "proof of process: serves abd"},
		"a later proof is under way": {func(s *Status) { s.Proofs[0].Proven, s.Proofs[0].Want = false, "abd" }, ""},
		"a later proof is under way, and the one before has failed": {func(s *Status) {
			s.Proofs[0].Proven, s.Proofs[0].Problem = false, "serves abd"
		}, "proof of process: serves abd"},
		"a hook is being told":                                 {func(s *Status) { s.Hooks[0].Asked++ }, ""},
		"the process is being told":                            {func(s *Status) { s.Process.Rotated++ }, ""},
		"an answer lacks the hint":                             {func(s *Status) { s.Outputs[0].Absent = []string{"x"} }, ""},
		"an answer lacks the hint, and spiffe-helper is meant": {func(s *Status) { s.Outputs[0].Absent, s.NeedsWrites = []string{"x"}, true }, "a file could not be written"},
	} {
		s := healthy()
		c.change(&s)
		ok, why := s.Ready(now) // what check -ready is told, and systemd
		if got := strings.Join(why, "\n"); got != c.why || ok != (c.why == "") {
			t.Errorf("%s: ready %v, %q; want %q", name, ok, got, c.why)
		}
		if s.Source == nil {
			continue
		}
		if name == "crashed, and has just been started" {
			s.Process.Started = now.Add(time.Hour) // for as long as the test takes
		}
		base := start(t, config.Health{}, func() Status { return s })
		if code, body := get(t, base+"/ready"); (code == 200) != ok {
			t.Errorf("%s: /ready says %d %s, and check -ready %v", name, code, body, ok)
		}
		for path, says := range map[string]string{"/status.json": fmt.Sprintf(`"ready":%v,`, ok), "/metrics": fmt.Sprintf("svidhelper_ready %d\n", map[bool]int{true: 1}[ok])} {
			if _, body := get(t, base+path); !strings.Contains(body, says) {
				t.Errorf("%s: %s does not say %q:\n%s", name, path, says, body)
			}
		}
	}
}

// During an outage nothing happens, and yet ready turns false when the SVID
// expires, and true again with the next one.
func TestReadyComparesWithTheClock(t *testing.T) {
	var current atomic.Pointer[Status]
	s := healthy()
	expiry := time.Now().Add(300 * time.Millisecond)
	s.Outputs[0].Identities[0].NotAfter = expiry
	current.Store(&s)
	base := start(t, config.Health{}, func() Status { return *current.Load() })
	if code, body := get(t, base+"/ready"); code != 200 && time.Now().Before(expiry) {
		t.Errorf("before its end: %d %s", code, body)
	}
	<-time.After(time.Until(expiry))
	code, body := get(t, base+"/ready")
	if code != 503 || !strings.Contains(body, "expired at") {
		t.Errorf("after its end: %d %s", code, body)
	}
	t.Logf("503 within %v of the end", time.Since(expiry))
	if code, _ := get(t, base+"/live"); code != 200 {
		t.Errorf("live is %d in an outage", code)
	}
	s = healthy()
	current.Store(&s)
	if code, body := get(t, base+"/ready"); code != 200 {
		t.Errorf("after recovery: %d %s", code, body)
	}
}

func TestNewRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		cfg  config.Health
		says string
	}{
		"equal paths":      {config.Health{Address: "127.0.0.1:0", LivePath: "/x", ReadyPath: "/x"}, `"/x"`},
		"equal by default": {config.Health{Address: "127.0.0.1:0", LivePath: "/ready"}, `"/ready"`},
		"no slash":         {config.Health{Address: "127.0.0.1:0", LivePath: "live"}, `"live"`},
		"taken":            {config.Health{Address: taken.Addr().String()}, "set another address, or end the program that has it"},
		"no port":          {config.Health{Address: "127.0.0.1"}, "127.0.0.1"},
	} {
		s, err := New(c.cfg, nil, slog.New(slog.DiscardHandler))
		if err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPathsAreTakenAsTheyAre(t *testing.T) {
	base := start(t, config.Health{LivePath: "/", ReadyPath: "/{ready}"}, healthy)
	for path, want := range map[string]int{
		"/": 200, "/%7Bready%7D": 200, "/metrics": 200, "/ready": 404, "/x": 404,
		"/debug/pprof/": 404, "/debug/vars": 404, "/metrics/": 404,
	} {
		if code, body := get(t, base+path); code != want {
			t.Errorf("%s = %d %s, want %d", path, code, body, want)
		}
	}
	if _, body := get(t, base+"/"); !strings.HasPrefix(body, "{") {
		t.Errorf("a configured path gave way to the page: %.60s", body)
	}
	resp, err := http.Post(base+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST = %d", resp.StatusCode)
	}
}

func TestHugeHeaderIsRefused(t *testing.T) {
	base := start(t, config.Health{}, healthy)
	req, _ := http.NewRequest("GET", base+"/live", nil)
	req.Header.Set("X", strings.Repeat("x", 100<<10))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return // it may hang up while we are still sending
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// A client that never finishes its request does not hold the end of the helper.
func TestRunEndsAtOnce(t *testing.T) {
	s, err := New(config.Health{Address: "127.0.0.1:0"}, healthy, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	get(t, "http://"+s.Addr().String()+"/live") // leaves an idle connection
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /live HTTP/1.1\r\nHost: x\r\n")
	began := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	took := time.Since(began)
	t.Logf("the end took %v", took)
	if took > readTimeout*3/4 { // the client would be sent away after that anyway
		t.Errorf("the end took %v", took)
	}
	http.DefaultClient.CloseIdleConnections()
}

// Many ask while it changes.
func TestThousandRequestsASecondWhileRotating(t *testing.T) {
	const clients, rate, span = 20, 1000, 2 * time.Second
	var current atomic.Pointer[Status]
	s := healthy()
	current.Store(&s)
	base := start(t, config.Health{}, func() Status { return *current.Load() })
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	var group sync.WaitGroup
	var asked, slow atomic.Int64
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for i := range clients {
		group.Go(func() {
			tick := time.NewTicker(time.Second * clients / rate)
			defer tick.Stop()
			for n := i; n == i || ctx.Err() == nil; n++ {
				<-tick.C
				path := "/ready"
				if n%100 == 0 {
					path = "/metrics"
				}
				began := time.Now()
				resp, err := client.Get(base + path)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || path != "/metrics" && !json.Valid(body) {
					t.Errorf("%s: %d %v %s", path, resp.StatusCode, err, body)
					return
				}
				asked.Add(1)
				if time.Since(began) > time.Second {
					slow.Add(1)
				}
			}
		})
	}
	rotations := 0
	for tick := time.NewTicker(10 * time.Millisecond); rotations == 0 || ctx.Err() == nil; rotations++ {
		<-tick.C
		next := healthy()
		next.Outputs[0].Rotations = uint64(rotations)
		current.Store(&next)
	}
	group.Wait()
	t.Logf("%d requests and %d rotations in %v, %d slower than a second", asked.Load(), rotations, span, slow.Load())
	if asked.Load() < clients {
		t.Errorf("%d requests", asked.Load())
	}
	if diff := cmp.Diff(uint64(rotations-1), current.Load().Outputs[0].Rotations); diff != "" {
		t.Error(diff)
	}
}
