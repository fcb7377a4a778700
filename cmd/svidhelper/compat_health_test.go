//go:build unix

package main

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// health_checks, as probes see them.

var healthFacts = []fact{
	{name: "health_checks answer with the statuses of the files, the JWT files by their path", conf: `cert_dir = "certs"` + jwtNames, test: func(t *testing.T, s *swapped) {
		p := s.probed("")
		s.faults.Deny()
		s.start()
		s.log.await(t, "health is served")
		p.await(t, "/ready", 503)
		unwritten := `{"status":"Service Unavailable","health":{"file_write_statuses":{"x509_write_status":"unwritten",` +
			`"jwt_write_status":{"certs/a.jwt":"unwritten","certs/jwks.json":"unwritten"}}}}`
		if _, body := p.get(t, "/ready"); withoutReasons(t, body) != unwritten {
			t.Errorf("before the first write it says %s", body)
		}
		if code, body := p.get(t, "/live"); code != 200 {
			t.Errorf("live before the first write: %d %s", code, body)
		}
		s.faults.Heal()
		p.await(t, "/ready", 200)
		written := `{"status":"OK","health":{"file_write_statuses":{"x509_write_status":"written",` +
			`"jwt_write_status":{"certs/a.jwt":"written","certs/jwks.json":"written"}}}}` + "\n"
		for _, path := range []string{"/ready", "/live"} {
			if code, body := p.get(t, path); code != 200 || body != written {
				t.Errorf("%s: %d\n%s", path, code, cmp.Diff(written, body))
			}
		}
	}},
	{name: "health_checks without X.509: no x509_write_status", bare: true, conf: jwtNames, test: func(t *testing.T, s *swapped) {
		p := s.probed("")
		s.start()
		p.await(t, "/ready", 200)
		want := `{"status":"OK","health":{"file_write_statuses":{"jwt_write_status":{"a.jwt":"written","jwks.json":"written"}}}}` + "\n"
		if _, body := p.get(t, "/ready"); body != want {
			t.Error(cmp.Diff(want, body))
		}
	}},
	{name: "health_checks: a write that fails", api: hinted, conf: "hint = \"second\"\n", test: func(t *testing.T, s *swapped) {
		p := s.probed("")
		s.start()
		p.await(t, "/ready", 200)
		if code, body := p.get(t, "/live"); code != 200 {
			t.Errorf("live: %d %s", code, body)
		}
		faultlessly(t, s.api.SetIdentities(hinted.Identities[0])) // the hint is gone
		p.await(t, "/ready", 503)
		p.await(t, "/live", 503)
		want := `{"status":"Service Unavailable","health":{"file_write_statuses":{"x509_write_status":"failed","jwt_write_status":{}}}}`
		if _, body := p.get(t, "/ready"); withoutReasons(t, body) != want {
			t.Errorf("it says %s", body)
		}
		faultlessly(t, s.api.SetIdentities(hinted.Identities...))
		p.await(t, "/ready", 200)
	}},
	{name: "health_checks: paths", test: func(t *testing.T, s *swapped) {
		p := s.probed("liveness_path = \"/l\"\nreadiness_path = \"/deep/r\"")
		s.start()
		p.await(t, "/deep/r", 200)
		for path, want := range map[string]int{"/l": 200, "/live": 404, "/ready": 404} {
			if code, _ := p.get(t, path); code != want {
				t.Errorf("%s: %d, want %d", path, code, want)
			}
		}
	}},
	{name: "health_checks: equal paths are an error of the configuration", test: func(t *testing.T, s *swapped) {
		s.probed("liveness_path = \"/ready\"")
		s.run(1)
		s.log.await(t, "liveness_path and readiness_path are both")
	}},
	{name: "health_checks: a port that is taken is fatal at the start", conf: staying, test: func(t *testing.T, s *swapped) {
		l, err := net.Listen("tcp", ":0")
		faultlessly(t, err)
		defer l.Close()
		s.configure(s.read("helper.conf") + checks(l.Addr().(*net.TCPAddr).Port, ""))
		s.run(1)
		s.log.await(t, "health: listen tcp", "address already in use", "set another")
		if got := s.record.String(); got != "" {
			t.Errorf("cmd was started: %s", got)
		}
	}},
	{name: "health_checks: ready ends within a second of the SVID, and comes back within a second of it", api: devapi.Config{TTL: 3 * time.Second}, test: func(t *testing.T, s *swapped) {
		p := s.probed("")
		s.configure(fmt.Sprintf("cert_dir = %q\n", memoryDir(t)) + s.read("helper.conf"))
		s.start()
		// What else the machine does can spoil a measurement, not three.
		for range 3 {
			if s.outage(p) <= time.Second {
				return
			}
		}
		t.Error("it took longer than a second three times")
	}},
	{name: "health_checks: port 8081 on all interfaces, /live and /ready unless they are given", conf: "health_checks { listener_enabled = true }\n", test: func(t *testing.T, s *swapped) {
		out, err := s.command("svidhelper", "config", "print", "helper.conf").Output() // another program may have the port
		faultlessly(t, err)
		for _, line := range []string{`address .*= ":8081"`, `live_path .*= "/live"`, `ready_path .*= "/ready"`} {
			if !regexp.MustCompile(line).Match(out) {
				t.Errorf("no %s in\n%s", line, out)
			}
		}
	}},
	{name: "health_checks are served by a daemon only", conf: oneShot, test: func(t *testing.T, s *swapped) {
		l, err := net.Listen("tcp", ":0") // it would be fatal to a daemon
		faultlessly(t, err)
		defer l.Close()
		s.configure(s.read("helper.conf") + checks(l.Addr().(*net.TCPAddr).Port, ""))
		s.run(0)
	}},
	{name: "health_checks are off unless listener_enabled", test: func(t *testing.T, s *swapped) {
		port := freePort(t)
		s.configure(s.read("helper.conf") + fmt.Sprintf("health_checks { bind_port = %d }\n", port))
		s.start()
		s.log.await(t, "published")
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			t.Error("somebody listens")
		}
	}},
}

// readyWith waits until the program is ready with an SVID that has not expired
// before that, and returns it.
func (s *swapped) readyWith(p probe) *x509.Certificate {
	s.t.Helper()
	svid := s.api.SVIDs()[0].Certificates[0]
	eventually(s.t, func() error {
		if time.Now().After(svid.NotAfter) {
			s.api.Rotate()
			svid = s.api.SVIDs()[0].Certificates[0]
		}
		if serial := snapshot.Serial(svid.SerialNumber); s.log.count("published", serial) == 0 {
			return fmt.Errorf("%s is not published", serial)
		}
		if code, body, err := p.ask("/ready"); code != 200 {
			return fmt.Errorf("not ready: %d %s %v", code, body, err)
		}
		return nil
	})
	return svid
}

// outage has the Workload API be away until the SVID has expired, and returns
// how long it took for the program to notice that, or its return, at most. What
// the machine took does not count.
func (s *swapped) outage(p probe) time.Duration {
	s.t.Helper()
	svid := s.readyWith(p)
	s.api.Down()
	early := func() bool { return time.Until(svid.NotAfter) > 50*time.Millisecond }
	for ; early(); time.Sleep(5 * time.Millisecond) {
		if code, body, err := p.ask("/ready"); code != 200 && early() {
			s.t.Fatalf("ready ended before the SVID expired: %d %s %v", code, body, err)
		}
	}
	busy := testbed.StartPulse()
	ended := p.await(s.t, "/ready", 503).Sub(svid.NotAfter)
	late := busy.Stop()
	s.t.Logf("ready ended %v after the SVID expired; the machine was late by up to %v", ended, late)
	if code, body := p.get(s.t, "/live"); code != 200 {
		s.t.Errorf("live: %d %s", code, body)
	}
	ended -= hops * late

	s.api.Rotate()
	faultlessly(s.t, s.api.Up())
	start, busy := time.Now(), testbed.StartPulse()
	s.readyWith(p)
	back := time.Since(start)
	late = busy.Stop()
	s.t.Logf("ready came back %v after the Workload API; the machine was late by up to %v", back, late)
	return max(ended, back-hops*late)
}

// checks is a health_checks block.
func checks(port int, more string) string {
	return fmt.Sprintf("health_checks {\nlistener_enabled = true\nbind_port = %d\n%s\n}\n", port, more)
}

// A probe asks the program how it is.
type probe struct{ base string }

// probed adds health_checks to the configuration.
func (s *swapped) probed(more string) probe {
	s.t.Helper()
	port := freePort(s.t)
	s.configure(s.read("helper.conf") + "\n" + checks(port, more))
	return probe{fmt.Sprintf("http://127.0.0.1:%d", port)}
}

var noKeepAlive = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (p probe) ask(path string) (code int, body string, err error) {
	resp, err := noKeepAlive.Get(p.base + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func (p probe) get(t *testing.T, path string) (code int, body string) {
	t.Helper()
	code, body, err := p.ask(path)
	faultlessly(t, err)
	return code, body
}

// await waits for that answer, and returns when it first came.
func (p probe) await(t *testing.T, path string, want int) time.Time {
	t.Helper()
	eventually(t, func() error {
		if code, body, err := p.ask(path); code != want {
			return fmt.Errorf("%s: %d %s %v", path, code, body, err)
		}
		return nil
	})
	return time.Now()
}

// withoutReasons takes out what is ours: spiffe-helper gives none.
func withoutReasons(t *testing.T, body string) string {
	t.Helper()
	var answer struct {
		Status  string          `json:"status"`
		Health  json.RawMessage `json:"health"`
		Reasons []string        `json:"reasons"`
	}
	faultlessly(t, json.Unmarshal([]byte(body), &answer))
	if len(answer.Reasons) == 0 {
		t.Errorf("no reason is given in %s", body)
	}
	return fmt.Sprintf(`{"status":%q,"health":%s}`, answer.Status, answer.Health)
}

func TestCompatHealth(t *testing.T) { testFacts(t, healthFacts) }
