//go:build linux

package examples_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// TestNginxStuck stops nginx's master: its workers go on serving the old
// certificate, and no signal reaches it. What follows is the example's
// escalation, sped up.
func TestNginxStuck(t *testing.T) {
	t.Parallel()
	nginx := need(t, "nginx")
	set := func(name string, d time.Duration) string { return fmt.Sprintf("%s = %q", name, d) }

	t.Run("a restart helps", func(t *testing.T) {
		t.Parallel()
		unhurried(t, 2*time.Second, func(timeout time.Duration) error {
			s := newService(t, "nginx")
			s.startNginx(nginx,
				`timeout    = "10s"`, set("timeout", timeout),
				`stop_timeout = "30s"`, set("stop_timeout", 2*timeout))
			defer s.stop(0)
			if err := s.undisturbed(); err != nil {
				return err
			}
			master := s.stopMaster()
			began := time.Now()
			serial := rotate(t, s.api)
			// As in the example, the restart takes longer than a proof waits.
			s.events.await(t, s.helper, "failed proof", failedProof)
			status, _ := s.get("/ready")
			inTime := !s.events.has(proven(serial))
			s.events.await(t, s.helper, "late proof", proven(serial))
			took := time.Since(began)
			t.Logf("escalated, not ready after %v, restarted and proven after %v", 3*timeout, took.Round(time.Millisecond))
			if now := s.helper.children(); len(now) != 1 || atoi(t, now[0]) == master {
				t.Errorf("nginx's master was %d; svidhelper's children are %v", master, now)
			}
			if status, body := s.get("/ready"); status != http.StatusOK {
				t.Errorf("/ready: %d %s", status, body)
			}
			s.helper.said("escalation=signal")
			s.helper.said("escalation=restart")
			switch {
			case !inTime:
				return errors.New("it was restarted before we had a look at /ready")
			case status != http.StatusServiceUnavailable:
				return fmt.Errorf("/ready: %d while nginx is being restarted", status)
			}
			return nil
		})
	})

	t.Run("nothing helps", func(t *testing.T) {
		t.Parallel()
		unhurried(t, 2*time.Second, func(timeout time.Duration) error {
			s := newService(t, "nginx")
			s.startNginx(nginx,
				`timeout    = "10s"`, set("timeout", timeout),
				`["signal", "restart"]`, `["signal"]`)
			served := snapshot.Serial(s.api.SVIDs()[0].Certificates[0].SerialNumber)
			defer s.stop(0)
			if err := s.undisturbed(); err != nil {
				return err
			}
			master := s.stopMaster()
			began := time.Now()
			want := snapshot.Serial(rotate(t, s.api))
			e := s.events.await(t, s.helper, "failed proof", failedProof)
			took := time.Since(began)
			if took < 2*timeout {
				t.Errorf("not ready after %v; two times %v are configured", took, timeout)
			}
			if e.Serial != served || e.Want != want {
				t.Errorf("the event says that %s is served and %s is not; it is %s and %s", e.Serial, e.Want, served, want)
			}
			status, body := s.get("/ready")
			t.Logf("/ready %v after the rotation: %d %s", took.Round(time.Millisecond), status, body)
			if status != http.StatusServiceUnavailable || !strings.Contains(body, served) || !strings.Contains(body, want) {
				t.Error("/ready does not say 503 and both serial numbers")
			}
			s.helper.said("rotation not proven", served, want)

			// Somebody mends it, and svidhelper finds that out by itself.
			if err := syscall.Kill(master, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			s.events.await(t, s.helper, "late proof", func(e event) bool { return e.Event == "proven" && e.Serial == want })
			if status, body := s.get("/ready"); status != http.StatusOK {
				t.Errorf("mended, /ready: %d %s", status, body)
			}
			if took > 3*timeout {
				return fmt.Errorf("not ready after %v; two times %v are configured", took, timeout)
			}
			return nil
		})
	})
}

// failedProof matches the event that a proof has failed for good.
func failedProof(e event) bool { return e.Event == "failed" && e.Failed == "proof" }

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
