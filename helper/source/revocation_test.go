package source

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// When an identity is refused, that counts only after the grace period, and ends
// with the next good answer.
func TestRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		good := x509Answer(issueX509For(t, newAuthority(t, "example.org"), 24*time.Hour))
		f.x509.say(good)
		s := newFakeSource(t, f, Needs{X509: true}, logger(t))
		stop := run(t, s)
		deny := status.Error(codes.PermissionDenied, "no identity issued")
		after := func(d time.Duration) ProfileStatus {
			time.Sleep(d)
			synctest.Wait()
			return s.Status().Profiles[0]
		}
		drain := func() {
			select {
			case <-s.Updates():
			default:
			}
		}
		after(time.Second)
		before := s.Snapshot()

		// Shorter than the grace period, or interrupted by an outage: nothing.
		f.x509.fail(deny)
		if p := after(29 * time.Second); p.State != StateDenied || !p.Revoked.IsZero() {
			t.Errorf("after 29 s of denial: %s, revoked %v", p.State, p.Revoked)
		}
		f.setDown(true)
		after(time.Minute)
		f.setDown(false)
		if p := after(29 * time.Second); !p.Revoked.IsZero() {
			t.Error("an agent that restarts counts as a refusal")
		}
		f.x509.fail(nil)
		if p := after(10 * time.Second); p.State != StateStreaming || !p.DeniedSince.IsZero() {
			t.Errorf("after the denial: %s, denied since %v", p.State, p.DeniedSince)
		}

		drain()
		f.x509.fail(deny)
		denied := time.Now()
		after(29*time.Second + 999*time.Millisecond)
		drain()
		if p := after(time.Millisecond); p.Revoked.Sub(denied) != 30*time.Second {
			t.Errorf("revoked %v after the denial, want 30 s", p.Revoked.Sub(denied))
		}
		select {
		case <-s.Updates():
		default:
			t.Error("nobody was told")
		}
		if n := len(s.Status().Revoked()); n != 1 {
			t.Errorf("%d profiles are revoked, want 1", n)
		}

		// An outage does not take it back; a good answer does.
		f.setDown(true)
		f.setDown(false)
		if p := after(time.Minute); p.Revoked.IsZero() || p.DeniedSince != denied {
			t.Errorf("after an outage: revoked %v, denied since %v", p.Revoked, p.DeniedSince)
		}
		drain()
		f.x509.fail(nil)
		if p := after(10 * time.Second); !p.Revoked.IsZero() || p.State != StateStreaming {
			t.Errorf("after the identity is back: %s, revoked %v", p.State, p.Revoked)
		}
		if s.Snapshot() != before {
			t.Error("the same answer as before made a new snapshot")
		}
		select {
		case <-s.Updates():
		default:
			t.Error("nobody was told that the identity is back")
		}
		stop()
	})
}
