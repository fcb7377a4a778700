package source

import (
	"context"
	"crypto/x509"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc/status"
)

// between20 checks that d is want within 20 %.
func within20(t *testing.T, d, want time.Duration) {
	t.Helper()
	if d < want*8/10 || d > want*12/10 {
		t.Errorf("waits %v, want %v within 20 %%", d, want)
	}
}

func TestWaitsDoubleUpToABound(t *testing.T) {
	now := time.Unix(0, 0)
	for name, tt := range map[string]struct {
		retry *retrier
		class class
		want  []time.Duration
	}{
		"transient": {newRetrier(), transient, []time.Duration{
			100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
			1600 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond, 12800 * time.Millisecond,
			15 * time.Second, 15 * time.Second}},
		"denied": {newRetrier(), denied, []time.Duration{
			500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}},
		"invalid": {newRetrier(), invalid, []time.Duration{5 * time.Second, 10 * time.Second}},
		"token": {newTokenRetrier(), denied, []time.Duration{
			time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, want := range tt.want {
				within20(t, tt.retry.failed(tt.class, now), want)
			}
		})
	}
}

func TestWaitsBeginAnewOnlyAfterALifeThatLasted(t *testing.T) {
	r, now := newRetrier(), time.Unix(0, 0)
	for range 5 {
		r.good(now) // answers, and ends at once
		r.failed(transient, now)
	}
	within20(t, r.failed(transient, now), 3200*time.Millisecond)
	r.good(now)
	within20(t, r.failed(transient, now.Add(10*time.Second)), 100*time.Millisecond)
}

// A server that is down is tried at the policy's pace, and no faster.
func TestDownForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, log := &fakeServer{down: true}, &logCounter{}
		s := newFakeSource(t, f, Needs{X509: true}, log.logger())
		stop := run(t, s)
		time.Sleep(time.Hour)
		if n := f.dialed(); n < 3600/18 || n > 3600/12+10 {
			t.Errorf("%d attempts in an hour, want one in 15 s", n)
		}
		var gaps []time.Duration
		for i := range len(f.dials) - 1 {
			gaps = append(gaps, f.dials[i+1].Sub(f.dials[i]))
		}
		if shortest := slices.Min(gaps[10:]); shortest < 12*time.Second {
			t.Errorf("shortest wait %v, want 12 s at least", shortest)
		}
		if n := log.count("not connected to the Workload API"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
		start := time.Now()
		if err := stop(); err != nil || time.Since(start) != 0 {
			t.Errorf("Run returned %v after %v, want at once", err, time.Since(start))
		}
	})
}

func TestServerEndsEachStreamAfterOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, "example.org")
		f := &fakeServer{}
		f.x509.single = true
		f.x509.say(x509Answer(issueX509For(t, a, time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true}, logger(t))
		stop := run(t, s)
		time.Sleep(10 * time.Second)
		if n := f.x509.opened(); n < 3 || n > 9 {
			t.Errorf("%d streams in 10 s, want 3 to 9", n)
		}
		if s.Status().Snapshot == nil {
			t.Error("the message did not count")
		}
		stop()
	})
}

// The connection, too, can end after each answer.
func TestServerHangsUpAfterOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, "example.org")
		f := &fakeServer{}
		f.x509.say(x509Answer(issueX509For(t, a, time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true}, logger(t))
		stop := run(t, s)
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			f.mu.Lock()
			for _, cut := range f.links {
				cut()
			}
			f.links = nil
			f.mu.Unlock()
		}
		if n := f.dialed(); n < 3 || n > 9 {
			t.Errorf("%d connections in 10 s, want 3 to 9", n)
		}
		stop()
	})
}

func TestServerThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{jwt: func(ctx context.Context, _ *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
			<-ctx.Done()
			return nil, status.FromContextError(ctx.Err()).Err()
		}}
		s := newFakeSource(t, f, Needs{X509: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}, logger(t))
		stop := run(t, s)
		time.Sleep(answerTimeout - time.Second)
		synctest.Wait()
		for _, p := range s.Status().Profiles {
			if p.State != StateWaiting {
				t.Errorf("%s is %s, want %s", p.Name(), p.State, StateWaiting)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, p := range s.Status().Profiles {
			if p.Failures+p.Attempts < 2 {
				t.Errorf("%s was not given up: %+v", p.Name(), p)
			}
		}
		if n := f.dialed(); n < 2 {
			t.Errorf("%d connections, want a new one in place of one that is dead", n)
		}
		time.Sleep(10 * time.Minute)
		if n := f.x509.opened(); n > 15 {
			t.Errorf("%d streams in ten minutes", n)
		}
		start := time.Now()
		if err := stop(); err != nil || time.Since(start) > 0 {
			t.Errorf("Run returned %v after %v", err, time.Since(start))
		}
	})
}

// An agent that takes minutes to find out who asks is waited for, in the end.
func TestServerThatTakesMinutesToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{delay: 2 * time.Minute}
		f.x509.say(x509Answer(issueX509For(t, newAuthority(t, "example.org"), time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true}, logger(t))
		stop := run(t, s)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if !allArrived(s.Status().Snapshot, s.Status()) {
			t.Errorf("not there after %d streams", f.x509.opened())
		}
		check(t, stop())
	})
}

// An SVID from a clock that is ahead is taken as soon as it is valid, not when it
// is asked for again by chance, and not before.
func TestSVIDOfAClockThatIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		from := time.Now().Add(55 * time.Second)
		f.x509.say(x509Answer(issueX509(t, newAuthority(t, "example.org"), testID, "", func(c *x509.Certificate) { c.NotBefore = from })))
		s := newFakeSource(t, f, Needs{X509: true}, logger(t))
		stop := run(t, s)
		time.Sleep(time.Until(from) - time.Millisecond)
		synctest.Wait()
		if s.Status().Snapshot != nil {
			t.Error("taken before it is valid")
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if s.Status().Snapshot == nil {
			t.Error("not taken when it is valid")
		}
		if n := f.x509.opened(); n > 12 {
			t.Errorf("%d streams in a minute", n)
		}
		check(t, stop())
	})
}

// One stream that never answers does not cost the others their connection.
func TestOneStreamThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		f.x509.say(x509Answer(issueX509For(t, newAuthority(t, "example.org"), 12*time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true, JWTBundles: true}, logger(t))
		stop := run(t, s)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := f.dialed(); n > 2 {
			t.Errorf("%d connections in three hours, want one, and another to see whether that is why", n)
		}
		if n := f.jwtBundles.opened(); n < 10 {
			t.Errorf("%d streams in three hours: it was given up", n)
		}
		check(t, stop())
	})
}

// A stream that is open and says nothing as the SVID nears its end is replaced,
// connection and all, in time.
func TestOpenStreamThatIsDeadIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, "example.org")
		f := &fakeServer{}
		f.x509.say(x509Answer(issueX509For(t, a, time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true}, logger(t))
		stop := run(t, s)
		time.Sleep(time.Second)
		synctest.Wait()
		first := s.Status().Snapshot

		// What the server says from now on reaches new connections only.
		f.x509.mu.Lock()
		f.x509.message = x509Answer(issueX509For(t, a, 2*time.Hour))
		f.x509.mu.Unlock()
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		if f.dialed() != 1 || s.Status().Snapshot != first {
			t.Error("a silent stream was disturbed long before the SVID's end")
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if f.dialed() != 2 || s.Status().Snapshot == first {
			t.Errorf("%d connections, and the new SVID is not there", f.dialed())
		}
		if p := s.Status().Profiles[0]; p.Failures != 0 {
			t.Errorf("counted as a failure: %+v", p)
		}
		stop()
	})
}
