package source

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// What one profile gets, the others ask for at once: after an agent's restart each
// waited for as long as its own backoff had grown.
func TestOneRecoveryIsThatOfAll(t *testing.T) {
	for _, code := range []codes.Code{codes.PermissionDenied, codes.Unavailable} {
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthority(t, "example.org")
				f := failingServer(status.Error(code, "not yet"))
				f.jwtBundles.fail(status.Error(code, "not yet"))
				s := newFakeSource(t, f, Needs{X509: true, JWTBundles: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}, (&logCounter{}).logger())
				stop := run(t, s)
				time.Sleep(10 * time.Minute)

				// From now on the server has everything.
				f.mu.Lock()
				f.jwt = answerJWT(t, a, time.Hour)
				f.mu.Unlock()
				f.x509.say(x509Answer(issueX509For(t, a, time.Hour)))
				f.jwtBundles.say(&workload.JWTBundlesResponse{Bundles: map[string][]byte{"spiffe://example.org": []byte(`{"keys":[]}`)}})
				f.x509.fail(nil)
				f.jwtBundles.fail(nil)
				var first time.Time
				for deadline := time.Now().Add(time.Minute); !allArrived(s.Status().Snapshot, s.Status()); time.Sleep(time.Millisecond) {
					if len(s.Status().Awaited()) < 3 && first.IsZero() {
						first = time.Now()
					}
					if time.Now().After(deadline) {
						t.Fatal("not everything arrived")
					}
				}
				if d := time.Since(first); !first.IsZero() && d > leastRetry+10*time.Millisecond {
					t.Errorf("all is there %v after the first, want %v at most", d, leastRetry)
				}
				check(t, stop())
			})
		})
	}
}

// An identity that comes back to an answer has its tokens at once, too.
func TestTokensOfAnIdentityThatIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, "example.org")
		f := failingServer(status.Error(codes.PermissionDenied, "no identity issued"))
		f.x509.fail(nil)
		f.x509.say(x509Answer(issueX509For(t, a, 24*time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}, (&logCounter{}).logger())
		stop := run(t, s)
		time.Sleep(10 * time.Minute)
		f.mu.Lock()
		f.jwt = answerJWT(t, a, time.Hour)
		f.mu.Unlock()
		f.x509.say(x509Answer(issueX509For(t, a, 24*time.Hour)))
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if !allArrived(s.Status().Snapshot, s.Status()) {
			t.Error("the token is not there 200 ms after the SVID")
		}
		check(t, stop())
	})
}

// A server that answers one profile once and hangs up, and another one in turn, is
// not asked without pause.
func TestTwoThatFlapDoNotHasten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		f.x509.say(x509Answer(issueX509For(t, newAuthority(t, "example.org"), 24*time.Hour)))
		f.jwtBundles.say(&workload.JWTBundlesResponse{Bundles: map[string][]byte{"spiffe://example.org": []byte(`{"keys":[]}`)}})
		f.x509.single, f.jwtBundles.single = true, true
		s := newFakeSource(t, f, Needs{X509: true, JWTBundles: true}, (&logCounter{}).logger())
		stop := run(t, s)
		time.Sleep(10 * time.Minute)
		if n := f.x509.opened() + f.jwtBundles.opened(); n > 2*(600/12+10) {
			t.Errorf("%d streams in 10 minutes", n)
		}
		check(t, stop())
	})
}

// An agent that starts denies for a while: on a new connection it is asked again
// soon.
func TestADenialOfANewConnectionIsRetriedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, "example.org")
		deny := status.Error(codes.PermissionDenied, "no identity issued")
		f := failingServer(deny)
		f.x509.say(x509Answer(issueX509For(t, a, time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}, (&logCounter{}).logger())
		stop := run(t, s)
		for _, after := range []time.Duration{2 * time.Second, 5 * time.Second, 9 * time.Second} {
			f.setDown(true)
			time.Sleep(time.Minute)
			f.x509.fail(deny)
			f.mu.Lock()
			f.jwt = func(context.Context, *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) { return nil, deny }
			f.mu.Unlock()
			f.setDown(false)
			for !s.Status().Connection.Connected {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(after)
			f.mu.Lock()
			f.jwt = answerJWT(t, a, time.Hour)
			f.mu.Unlock()
			f.x509.fail(nil)
			time.Sleep(400 * time.Millisecond)
			synctest.Wait()
			for _, p := range s.Status().Profiles {
				if p.State != StateStreaming {
					t.Errorf("%v after the connection and 400 ms after the identity, %s is %s", after, p.Name(), p.State)
				}
			}
		}
		check(t, stop())
	})
}

// When the clock steps, each stream begins anew and so checks what it has.
func TestAStepOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		f.x509.say(x509Answer(issueX509For(t, newAuthority(t, "example.org"), time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true}, (&logCounter{}).logger())
		stop := run(t, s)
		time.Sleep(time.Second)
		s.conn.clockStepped()
		time.Sleep(time.Second)
		synctest.Wait()
		if f.dialed() != 2 || f.x509.opened() != 2 || s.Status().Profiles[0].State != StateStreaming {
			t.Errorf("%d connections and %d streams, want two of each", f.dialed(), f.x509.opened())
		}
		check(t, stop())
	})
}

// A token is due by the wall clock: a day later, or after a suspend that the
// monotonic clock knows nothing of, it is fetched when there is a reason to look.
func TestATokenIsDueByTheWallClock(t *testing.T) {
	now, request := time.Now(), jwtRequest("", "a")
	f := &fakeServer{jwt: answerJWT(t, newAuthority(t, "example.org"), time.Hour)}
	tokens := newTokens(newBoard("", (&logCounter{}).logger()), nil, nil)
	due := renewal(now.Add(time.Hour), now, 0.5)
	e := &token{request: request, retry: newTokenRetrier(), due: due}
	tokens.entries[request] = e
	l := &link{api: &fakeAPI{server: f}, gone: make(chan struct{})}
	if next := tokens.start(t.Context(), l, now); next != due || next != next.Round(0) {
		t.Errorf("renewed at %v, want %v, by the wall clock", next, due)
	}
	if tokens.start(t.Context(), l, now.Round(0).Add(24*time.Hour)); e.cancel == nil {
		t.Error("a day later it is not fetched")
	}
	if r := <-tokens.results; r.err != nil {
		t.Error(r.err)
	}
	tokens.workers.Wait()
}

// What is wrong is said again every five minutes, for as long as it lasts, with
// what to do.
func TestWhatIsWrongIsSaidAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, log := failingServer(status.Error(codes.PermissionDenied, "no identity issued")), &logCounter{}
		s := newFakeSource(t, f, Needs{X509: true}, log.logger())
		stop := run(t, s)
		time.Sleep(31 * time.Minute)
		const again = "still not receiving everything"
		if n := log.count(again); n != 6 {
			t.Errorf("said %d times in 31 minutes, want 6", n)
		}
		if p := s.Status().Problem(); !strings.Contains(p, "registration entry") {
			t.Errorf("the problem is %q", p)
		}
		f.x509.say(x509Answer(issueX509For(t, newAuthority(t, "example.org"), 24*time.Hour)))
		f.x509.fail(nil)
		time.Sleep(31 * time.Minute)
		if n := log.count(again); n != 6 {
			t.Errorf("said %d times, of which %d after the end of it", n, n-6)
		}
		if p := s.Status().Problem(); p != "" {
			t.Errorf("the problem is %q", p)
		}
		check(t, stop())
	})
}
