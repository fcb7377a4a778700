package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc/codes"
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

// Faults in every class, at the start and in the middle of a stream.
func TestEveryCode(t *testing.T) {
	type behaviour struct {
		state    State
		fatal    bool // at the start
		attempts int  // the most in ten seconds
	}
	failed := behaviour{StateFailed, false, 9}
	table := map[codes.Code]behaviour{
		codes.Canceled:           failed,
		codes.Unknown:            failed,
		codes.InvalidArgument:    {StateFailed, true, 3},
		codes.DeadlineExceeded:   failed,
		codes.NotFound:           failed,
		codes.AlreadyExists:      failed,
		codes.PermissionDenied:   {StateDenied, false, 6},
		codes.ResourceExhausted:  failed,
		codes.FailedPrecondition: failed,
		codes.Aborted:            failed,
		codes.OutOfRange:         failed,
		codes.Unimplemented:      {StateUnsupported, true, 1},
		codes.Internal:           failed,
		codes.Unavailable:        failed,
		codes.DataLoss:           failed,
		codes.Unauthenticated:    failed,
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		want, ok := table[code]
		if !ok {
			t.Fatalf("%v is missing from the table", code)
		}
		t.Run(fmt.Sprintf("%v/start", code), func(t *testing.T) { testCodeAtStart(t, code, want.state, want.fatal, want.attempts) })
		t.Run(fmt.Sprintf("%v/mid-stream", code), func(t *testing.T) { testCodeMidStream(t, code, want.state, want.attempts) })
	}
}

// failingServer answers everything with err.
func failingServer(err error) *fakeServer {
	f := &fakeServer{jwt: func(context.Context, *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) { return nil, err }}
	f.x509.fail(err)
	return f
}

func testCodeAtStart(t *testing.T, code codes.Code, state State, fatal bool, attempts int) {
	synctest.Test(t, func(t *testing.T) {
		f := failingServer(status.Error(code, "as told"))
		log := &logCounter{}
		s := newFakeSource(t, f, Needs{X509: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}, log.logger())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := s.Run(ctx)
		if fatal {
			var f *FatalError
			if !errors.As(err, &f) || f.Code != code {
				t.Errorf("Run returned %v, want a fatal error with the code", err)
			}
			if ctx.Err() != nil {
				t.Error("it took as long as the context lived")
			}
			return
		}
		if err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := f.x509.opened(); n < 2 || n > attempts {
			t.Errorf("%d streams in 10 s, want 2 to %d", n, attempts)
		}
		if n := f.fetched(); n < 2 || n > 6 {
			t.Errorf("%d fetches in 10 s, want 2 to 6", n)
		}
		for _, p := range s.Status().Profiles {
			if p.State != state || p.Code != code || p.LastError == nil {
				t.Errorf("%s is %s with %v, want %s", p.Name(), p.State, p.Code, state)
			}
		}
		if n := log.count("not receiving"); n != 2 {
			t.Errorf("%d lines of log for 2 changes of state", n)
		}
	})
}

func testCodeMidStream(t *testing.T, code codes.Code, state State, attempts int) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, "example.org")
		f := &fakeServer{jwt: answerJWT(t, a, 10*time.Second)}
		f.x509.say(x509Answer(issueX509For(t, a, time.Hour)))
		log := &logCounter{}
		s := newFakeSource(t, f, Needs{X509: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}, log.logger())
		stop := run(t, s)
		time.Sleep(time.Second)
		synctest.Wait()
		before := s.Snapshot()
		if before == nil || before.X509 == nil || len(before.JWTSVIDs) != 1 {
			t.Fatal("nothing arrived")
		}
		opened, fetched := f.x509.opened(), f.fetched()

		f.mu.Lock()
		f.jwt = failingServer(status.Error(code, "as told")).jwt
		f.mu.Unlock()
		f.x509.fail(status.Error(code, "as told"))
		time.Sleep(15 * time.Second) // the token is renewed within 6 s
		synctest.Wait()
		if after := s.Snapshot(); after != before {
			t.Error("the snapshot changed")
		}
		if n := f.x509.opened() - opened; n > attempts {
			t.Errorf("%d streams, want at most %d", n, attempts)
		}
		if n := f.fetched() - fetched; n < 1 || n > 7 {
			t.Errorf("%d fetches, want 1 to 7", n)
		}
		for _, p := range s.Status().Profiles {
			if p.State != state || p.Code != code {
				t.Errorf("%s is %s with %v, want %s", p.Name(), p.State, p.Code, state)
			}
		}

		// The server recovers; for what it did not know, it takes another one.
		fresh := x509Answer(issueX509For(t, a, time.Hour))
		f.x509.fail(nil)
		f.x509.say(fresh)
		f.mu.Lock()
		f.jwt = answerJWT(t, a, 10*time.Second)
		f.mu.Unlock()
		if state == StateUnsupported {
			f.setDown(true)
			f.setDown(false)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if after := s.Snapshot(); after.X509 == before.X509 || len(after.JWTSVIDs) != 1 {
			t.Error("the answer after the recovery did not arrive")
		}
		for _, p := range s.Status().Profiles {
			if p.State != StateStreaming || p.LastError != nil {
				t.Errorf("%s is %s (%v), want %s", p.Name(), p.State, p.LastError, StateStreaming)
			}
		}
		if n := log.count("not receiving"); n != 2 {
			t.Errorf("%d lines of log for 2 changes of state", n)
		}
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// issueX509For issues an X.509-SVID for the next d.
func issueX509For(t testing.TB, a *devapi.Authority, d time.Duration) *workload.X509SVID {
	t.Helper()
	svid, err := a.IssueX509SVID(devapi.Identity{ID: testID}, time.Now().Add(-time.Second), time.Now().Add(d))
	if err != nil {
		t.Fatal(err)
	}
	return svid
}

// answerJWT answers every request with a token for the next d.
func answerJWT(t testing.TB, a *devapi.Authority, d time.Duration) func(context.Context, *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	return func(_ context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
		svid, err := a.IssueJWTSVID(devapi.Identity{ID: testID}, req.GetAudience(), time.Now(), time.Now().Add(d))
		if err != nil {
			t.Error(err)
			return nil, status.Error(codes.Internal, "cannot issue")
		}
		return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{svid}}, nil
	}
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
		if s.Snapshot() == nil {
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
		first := s.Snapshot()

		// What the server says from now on reaches new connections only.
		f.x509.mu.Lock()
		f.x509.message = x509Answer(issueX509For(t, a, 2*time.Hour))
		f.x509.mu.Unlock()
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		if f.dialed() != 1 || s.Snapshot() != first {
			t.Error("a silent stream was disturbed long before the SVID's end")
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if f.dialed() != 2 || s.Snapshot() == first {
			t.Errorf("%d connections, and the new SVID is not there", f.dialed())
		}
		if p := s.Status().Profiles[0]; p.Failures != 0 {
			t.Errorf("counted as a failure: %+v", p)
		}
		stop()
	})
}
