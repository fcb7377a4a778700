package health

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/writer"
)

func TestPageEscapes(t *testing.T) {
	evil := `<script>alert("x")</script>&%s%!`
	s := healthy()
	s.Version = evil
	s.Source.Connection.Address = evil
	s.Source.Profiles = []*source.ProfileStatus{{Profile: source.Profile(evil), State: source.State(evil), LastError: errors.New(evil)}}
	s.Outputs[0].Spec, s.Outputs[0].Problem = &encode.Output{Spec: writer.Spec{Dir: evil}}, evil
	s.Reload = Reload{At: time.Now(), Problem: evil}
	s.Outputs[0].Identities[0].Hint = evil
	s.Process.State, s.Hooks[0].Name = supervisor.State(evil), evil
	s.Proofs[0].Served, s.Proofs[0].Target, s.Proofs[0].Unseen = evil, evil, []string{evil}
	base := start(t, config.Health{}, func() Status { return s })
	resp, err := http.Get(base + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if strings.Contains(string(body), "<script") || !strings.Contains(string(body), "&lt;script&gt;") {
		t.Errorf("not escaped:\n%s", body)
	}
	if strings.Contains(strings.ReplaceAll(string(body), "%s%!", ""), "%!") {
		t.Errorf("badly formatted:\n%s", body)
	}
	if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("headers %v", resp.Header)
	}
	for _, want := range []string{"spiffe://example.org/web", "not ready", "127.0.0.1:8443"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestAPageForABrowserGoesOn: a browser gets one version after another, and
// curl gets one.
func TestAPageForABrowserGoesOn(t *testing.T) {
	t.Parallel()
	base := start(t, config.Health{}, healthy)
	if _, body := get(t, base+"/"); strings.Count(body, "<main id=") != 1 {
		t.Errorf("curl gets\n%s", body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	versions := 0
	for lines := bufio.NewScanner(resp.Body); versions < 2 && lines.Scan(); {
		versions += strings.Count(lines.Text(), "</main>")
	}
	if versions < 2 {
		t.Errorf("a browser gets %d versions", versions)
	}
}

// TestPageSaysThingsAsAPersonWould has what it once said wrong.
func TestPageSaysThingsAsAPersonWould(t *testing.T) {
	s := healthy()
	s.Outputs[0].Rotations, s.Outputs[0].LastSuccess = 1, time.Time{}
	s.Outputs = append(s.Outputs, s.Outputs[0])
	s.Outputs[1].LastSuccess = time.Now()
	s.Source.Connection.Connected = false
	s.Reload.Problem = "unknown key"
	base := start(t, config.Health{}, func() Status { return s })
	_, body := get(t, base+"/")
	for _, want := range []string{
		`name=viewport`, "nothing is on disk yet", "1 rotation,", "<b class=bad>not connected</b>", "prefers-color-scheme: dark", "unknown key",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	for _, no := range []string{"at never", "1 rotations", "<script", "http-equiv=refresh"} {
		if strings.Contains(body, no) {
			t.Errorf("the page has %q:\n%s", no, body)
		}
	}
}

// TestStatusJSON has what the page has.
func TestStatusJSON(t *testing.T) {
	s := healthy()
	s.Recent = []events.Event{
		{Time: time.Unix(1, 0), Event: events.Notified, Target: "process"}, // its rotation is forgotten
		{Time: time.Unix(2, 0), Event: events.Published, Output: "/a", Kinds: []string{"x509"}, Identities: []events.Identity{{SPIFFEID: "spiffe://x/y", Serial: "1"}}},
		{Time: time.Unix(2, 0), Event: events.Published, Output: "/b", Kinds: []string{"x509"}, Identities: []events.Identity{{SPIFFEID: "spiffe://x/y", Serial: "1"}}},
		{Time: time.Unix(3, 0), Event: events.Notified, Target: "process", Latency: 0.5},
		{Time: time.Unix(4, 0), Event: events.Failed, Failed: "reload", Error: "unknown key"},
		{Time: time.Unix(5, 0), Event: events.Failed, Target: "process", Failed: "proof", Error: "serves 0"},
	}
	s.Proofs[0].Unseen = []string{"0B"}
	base := start(t, config.Health{}, func() Status { return s })
	code, body := get(t, base+"/status.json")
	var r report
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusOK {
		t.Fatalf("%d %v\n%s", code, err, body)
	}
	want := []entry{
		{Time: time.Unix(4, 0).UTC(), Event: "failed", Failed: "reload", Error: "unknown key"},
		{
			Time: time.Unix(2, 0).UTC(), Event: "published", Outputs: []string{"/a", "/b"}, Kinds: []string{"x509"},
			Identities: []events.Identity{{SPIFFEID: "spiffe://x/y", Serial: "1"}},
			Outcomes: []outcome{
				{Target: "process", Event: "notified", Latency: 0.5},
				{Target: "process", Event: "failed", Failed: "proof", Error: "serves 0"},
			},
		},
	}
	if diff := cmp.Diff(want, r.History); diff != "" {
		t.Error(diff)
	}
	if !r.Ready || len(r.Outputs) != 1 || len(r.Outputs[0].Identities) != 1 || len(r.Targets) != 2 || r.Targets[0].Proof == nil || !slices.Equal(r.Targets[0].Proof.Unseen, s.Proofs[0].Unseen) || r.Targets[0].Latency != 0.002 {
		t.Errorf("%+v", r)
	}
}
