//go:build linux

package examples_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stuckTimeout bounds each of a proof's tries in these tests.
const stuckTimeout = 2 * time.Second

// TestNginxStuck stops nginx's master: its workers go on serving the old
// certificate, and no signal reaches it. What follows is the example's
// escalation, sped up.
func TestNginxStuck(t *testing.T) {
	t.Parallel()
	nginx := need(t, "nginx")

	t.Run("a restart helps", func(t *testing.T) {
		t.Parallel()
		s := newService(t, "nginx")
		s.startNginx(nginx,
			`timeout    = "10s"`, `timeout    = "2s"`,
			`stop_timeout = "30s"`, `stop_timeout = "1s"`)
		master := s.stopMaster()
		began := time.Now()
		serial := rotate(t, s.api)
		s.events.await(t, s.helper, "proof after a restart", proven(serial))
		took := time.Since(began)
		t.Logf("escalated and proven %v after the rotation", took.Round(time.Millisecond))
		if took < 2*stuckTimeout {
			t.Errorf("restarted after %v, before the proof and the second signal had their time", took)
		}
		if now := s.helper.children(); len(now) != 1 || atoi(t, now[0]) == master {
			t.Errorf("nginx's master was %d; svidhelper's children are %v", master, now)
		}
		if status, body := s.get("/ready"); status != http.StatusOK {
			t.Errorf("/ready: %d %s", status, body)
		}
		s.helper.said("escalation=signal")
		s.helper.said("escalation=restart")
		s.stop(0)
	})

	t.Run("nothing helps", func(t *testing.T) {
		t.Parallel()
		s := newService(t, "nginx")
		s.startNginx(nginx,
			`timeout    = "10s"`, `timeout    = "2s"`,
			`["signal", "restart"]`, `["signal"]`)
		served := s.api.SVIDs()[0].Certificates[0].SerialNumber.Text(16)
		master := s.stopMaster()
		began := time.Now()
		want := rotate(t, s.api).Text(16)
		e := s.events.await(t, s.helper, "failed proof", func(e event) bool { return e.Event == "failed" && e.Failed == "proof" })
		took := time.Since(began)
		if took < 2*stuckTimeout || took > 3*stuckTimeout {
			t.Errorf("not ready after %v; two times %v are configured", took, stuckTimeout)
		}
		if e.Serial != served || e.Want != want {
			t.Errorf("the event says that %s is served and %s is not; it is %s and %s", e.Serial, e.Want, served, want)
		}
		status, body := s.get("/ready")
		t.Logf("/ready %v after the rotation: %d %s", took.Round(time.Millisecond), status, body)
		if status != http.StatusServiceUnavailable || !strings.Contains(body, served) || !strings.Contains(body, want) {
			t.Error("/ready does not say 503 and both serial numbers")
		}
		s.helper.said(`msg="rotation not proven" target=process error="` + s.address + " still serves serial " + served + ", not the published " + want)

		// Somebody mends it: the next rotation arrives.
		if err := syscall.Kill(master, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		s.events.await(t, s.helper, "proof of the next rotation", proven(rotate(t, s.api)))
		if status, body := s.get("/ready"); status != http.StatusOK {
			t.Errorf("mended, /ready: %d %s", status, body)
		}
		s.stop(0)
	})
}

// stopMaster suspends nginx's master and returns its pid.
func (s *service) stopMaster() int {
	s.t.Helper()
	children := s.helper.children()
	if len(children) != 1 {
		s.t.Fatalf("svidhelper's children are %v", children)
	}
	master := atoi(s.t, children[0])
	if err := syscall.Kill(master, syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	// svidhelper would end it in the end; a stopped process hears only SIGKILL.
	s.t.Cleanup(func() { _ = syscall.Kill(master, syscall.SIGCONT) })
	return master
}
