package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

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
		codes.PermissionDenied:   {StateDenied, false, 60},
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
		fetches := 6
		if state == StateDenied { // quickly, on a new connection
			fetches = attempts
		}
		if n := f.fetched(); n < 2 || n > fetches {
			t.Errorf("%d fetches in 10 s, want 2 to %d", n, fetches)
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
		before := s.Status().Snapshot
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
		if after := s.Status().Snapshot; after != before {
			t.Error("the snapshot changed")
		}
		if n := f.x509.opened() - opened; n > attempts {
			t.Errorf("%d streams, want at most %d", n, attempts)
		}
		fetches := 7
		if state == StateDenied {
			fetches = attempts
		}
		if n := f.fetched() - fetched; n < 1 || n > fetches {
			t.Errorf("%d fetches, want 1 to %d", n, fetches)
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
		if after := s.Status().Snapshot; after.X509 == before.X509 || len(after.JWTSVIDs) != 1 {
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

// What has been answered is not given up for an answer that no retry will mend,
// whether or not everything else has been answered.
func TestNothingIsFatalOnceItHasWorked(t *testing.T) {
	request := jwtRequest("", "a")
	for name, needs := range map[string]Needs{
		"a token is still denied":             {X509: true, JWTSVIDs: []snapshot.JWTRequest{request}},
		"a token that can be done without":    {X509: true, JWTSVIDs: []snapshot.JWTRequest{request}, Dispensable: []Profile{ProfileJWTSVID}},
		"nothing else, and something is new":  {X509: true},
		"nothing else, and nothing is missed": {X509: true, Dispensable: []Profile{ProfileX509SVID}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := failingServer(status.Error(codes.PermissionDenied, "no"))
				f.x509.fail(nil)
				f.x509.say(x509Answer(issueX509For(t, newAuthority(t, "example.org"), time.Hour)))
				s := newFakeSource(t, f, needs, logger(t))
				stop := run(t, s)
				time.Sleep(time.Second)
				synctest.Wait()
				if s.Status().Snapshot == nil {
					t.Fatal("nothing arrived")
				}
				needs.JWTSVIDs = []snapshot.JWTRequest{request}
				s.Reconfigure(needs)
				for _, code := range []codes.Code{codes.InvalidArgument, codes.Unimplemented} {
					f.x509.fail(status.Error(code, "as told"))
					time.Sleep(time.Minute)
					synctest.Wait()
					select {
					case err := <-s.fatal:
						t.Fatal(err)
					default:
					}
				}
				check(t, stop())
			})
		})
	}
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

// Over the wire, too: every code, at the start and mid-stream, counted at the
// server.
func TestEveryCodeOverTheWire(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		for _, midStream := range []bool{false, true} {
			all.Go(func() { codeOverTheWire(t, code, midStream) })
		}
	}
	all.Wait()
}

func codeOverTheWire(t *testing.T, code codes.Code, midStream bool) {
	name := fmt.Sprintf("%v, mid-stream %v", code, midStream)
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	s, err := New(Config{Address: api.Addr(), Needs: everything("a")}, (&logCounter{}).logger())
	if err != nil {
		t.Error(err)
		return
	}
	if !midStream {
		faults.Fail(code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if midStream {
		await(t, s, name, allArrived)
		faults.Fail(code)
	}
	before := s.Status().Snapshot
	fatal := !midStream && (code == codes.InvalidArgument || code == codes.Unimplemented)
	if fatal {
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: Run returned nil", name)
			}
		case <-time.After(patience):
			t.Errorf("%s: not fatal", name)
		}
		return
	}
	await(t, s, name, func(_ *snapshot.Snapshot, st *Status) bool {
		return !slices.ContainsFunc(st.Profiles, func(p *ProfileStatus) bool { return p.Profile != ProfileJWTSVID && p.Code != code })
	})
	select {
	case err := <-ended:
		t.Errorf("%s: Run returned %v", name, err)
		return
	case <-time.After(10 * time.Second):
	}
	counts := faults.Counts()
	for rpc, n := range counts.Attempts {
		most := 20
		if code == codes.PermissionDenied {
			most = 100
		}
		if n >= most {
			t.Errorf("%s: %d attempts of %s in 10 s", name, n, rpc)
		}
	}
	if counts.Connections > 1 {
		t.Errorf("%s: %d connections, want one", name, counts.Connections)
	}
	if s.Status().Snapshot != before {
		t.Errorf("%s: the snapshot changed", name)
	}
	for _, p := range s.Status().Profiles {
		if p.Profile != ProfileJWTSVID && p.Code != code {
			t.Errorf("%s: %s has code %v", name, p.Name(), p.Code)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("%s: Run: %v", name, err)
	}
}

// What is fatal before anything depends on the source is none once something does.
func TestNothingIsFatalOnceSomethingDepends(t *testing.T) {
	for _, code := range []codes.Code{codes.InvalidArgument, codes.Unimplemented} {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeSource(t, failingServer(status.Error(code, "as told")), Needs{X509: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}, (&logCounter{}).logger())
			s.MustNotFail()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.Run(ctx); err != nil {
				t.Errorf("%v: %v", code, err)
			}
			for _, p := range s.Status().Profiles {
				if p.Code != code {
					t.Errorf("%s has code %v, want %v", p.Name(), p.Code, code)
				}
			}
		})
	}
}
