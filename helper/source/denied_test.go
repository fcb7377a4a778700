package source

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A denial says since when; an outage ends it, for an agent that restarts denies
// for a while.
func TestDeniedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		f.x509.say(x509Answer(issueX509For(t, newAuthority(t, "example.org"), 24*time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true}, logger(t))
		stop := run(t, s)
		deny := status.Error(codes.PermissionDenied, "no identity issued")
		after := func(d time.Duration) *ProfileStatus {
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
		before := s.Status().Snapshot

		denied := time.Now()
		f.x509.fail(deny)
		if p := after(29 * time.Second); p.State != StateDenied || p.DeniedSince != denied {
			t.Errorf("after 29 s of denial: %s, since %v", p.State, p.DeniedSince)
		}
		f.setDown(true)
		if p := after(time.Minute); !p.DeniedSince.IsZero() {
			t.Error("an agent that is away counts as one that denies")
		}
		f.setDown(false)
		if p := after(29 * time.Second); p.DeniedSince.Sub(denied) < time.Minute {
			t.Error("an agent that restarts has denied all the time")
		}
		drain()
		f.x509.fail(nil)
		if p := after(10 * time.Second); p.State != StateStreaming || !p.DeniedSince.IsZero() {
			t.Errorf("after the denial: %s, denied since %v", p.State, p.DeniedSince)
		}
		if s.Status().Snapshot != before {
			t.Error("the same answer as before made a new snapshot")
		}
		select {
		case <-s.Updates():
		default:
			t.Error("there was no word that the identity is back")
		}
		stop()
	})
}
