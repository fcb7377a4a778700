package source

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A faultyDay makes a server misbehave at random, and knows since when it has
// been well.
type faultyDay struct {
	server    *fakeServer
	authority *devapi.Authority
	random    *rand.Rand
	t         *testing.T

	mu      sync.Mutex
	fault   error     // of the JWT profile
	expired bool      // tokens are issued expired
	well    time.Time // since when there is no fault; zero while there is one
	faults  map[string]int
}

// issue lets the server say a new X.509-SVID, unless it says garbage now.
func (d *faultyDay) issue() { d.server.x509.say(x509Answer(issueX509For(d.t, d.authority, time.Hour))) }

func (d *faultyDay) set(fault error, expired bool, well time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.expired, d.well = fault, expired, well
}

// strike begins a random fault and returns how to end it.
func (d *faultyDay) strike() (end func()) {
	code := []codes.Code{codes.PermissionDenied, codes.Unavailable, codes.Internal, codes.Canceled, codes.InvalidArgument}[d.random.IntN(5)]
	err := status.Error(code, "at random")
	switch kind := d.random.IntN(4); kind {
	case 0:
		d.faults["down"]++
		d.set(nil, false, time.Time{})
		d.server.setDown(true)
		return func() { d.server.setDown(false) }
	case 1:
		d.faults[code.String()]++
		d.set(err, false, time.Time{})
		d.server.x509.fail(err)
		return func() { d.server.x509.fail(nil) }
	case 2:
		d.faults["bad answers"]++
		d.set(nil, true, time.Time{})
		bad := issueX509For(d.t, d.authority, time.Hour)
		bad.X509SvidKey = issueX509For(d.t, d.authority, time.Hour).X509SvidKey
		d.server.x509.say(x509Answer(bad))
		return d.issue
	default:
		d.faults["hang-ups"]++
		d.server.setDown(true)
		d.server.setDown(false)
		return func() {}
	}
}

// fetch answers FetchJWTSVID: tokens of five minutes.
func (d *faultyDay) fetch(ctx context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	d.mu.Lock()
	fault, expired := d.fault, d.expired
	d.mu.Unlock()
	if fault != nil {
		return nil, fault
	}
	life := 5 * time.Minute
	if expired {
		life = -2 * time.Minute
	}
	return answerJWT(d.t, d.authority, life)(ctx, req)
}

// run lets the day pass: a rotation each half hour, a fault now and then.
func (d *faultyDay) run() {
	for range 48 {
		d.issue()
		rest := 30 * time.Minute
		for d.random.IntN(3) > 0 && rest > 10*time.Minute {
			quiet, fault := time.Duration(d.random.IntN(240))*time.Second, time.Duration(d.random.IntN(420))*time.Second
			rest -= quiet + fault
			time.Sleep(quiet)
			end := d.strike()
			time.Sleep(fault)
			end()
			d.set(nil, false, time.Now())
		}
		time.Sleep(rest)
	}
}

// A day of SVIDs that live an hour and tokens that live five minutes, with
// random faults. At every second of it what is there is unexpired and matches,
// unless the server has been at fault within the longest wait of the policy;
// and the number of fetches is what the policy says.
func TestADayInAMinute(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	requests := []snapshot.JWTRequest{jwtRequest("", "a"), jwtRequest("", "b"), jwtRequest("", "c", "d")}
	synctest.Test(t, func(t *testing.T) {
		d := &faultyDay{
			server: &fakeServer{}, authority: newAuthority(t, "example.org"), t: t,
			random: rand.New(rand.NewPCG(seed, 1)), well: time.Now(), faults: make(map[string]int),
		}
		d.server.jwt = d.fetch
		log := &logCounter{}
		s := newFakeSource(t, d.server, Needs{X509: true, JWTSVIDs: requests}, log.logger())
		stop := run(t, s)
		var days sync.WaitGroup
		days.Go(d.run)

		// After its recovery the server is asked within 15 s, at most 20 % more;
		// for a token within 30 s.
		const mercy = 36 * time.Second
		start, seconds, exempt := time.Now(), 0, 0
		for time.Since(start) < 24*time.Hour-time.Second {
			time.Sleep(time.Second)
			synctest.Wait()
			d.mu.Lock()
			well := !d.well.IsZero() && time.Since(d.well) > mercy
			d.mu.Unlock()
			seconds++
			if err := usable(s.Snapshot(), requests); err != nil {
				if well {
					t.Fatalf("%v after the start, with the server well: %v", time.Since(start), err)
				}
				exempt++
			}
		}
		days.Wait()
		stop()

		fetches := d.server.fetched()
		var renewals uint64
		for _, p := range s.Status().Profiles {
			if p.Profile == ProfileJWTSVID {
				renewals += p.Attempts - p.Failures - p.Rejected[ReasonExpired]
			}
		}
		t.Logf("%d seconds, %d of them without a usable set; faults: %v; %d fetches, %d of them good; %d streams, %d connections",
			seconds, exempt, d.faults, fetches, renewals, d.server.x509.opened(), d.server.dialed())
		// Half of five minutes, within 10 %, three tokens: 523 to 640 each.
		if renewals < 3*450 || renewals > 3*645 {
			t.Errorf("%d good fetches of three tokens in a day, want about %d", renewals, 3*576)
		}
	})
}

// usable checks what is there as one who reads the files would.
func usable(s *snapshot.Snapshot, requests []snapshot.JWTRequest) error {
	now := time.Now()
	if s == nil || s.X509 == nil {
		return fmt.Errorf("no X.509-SVID")
	}
	svid := s.X509.SVIDs[0]
	if leaf := svid.Certificates[0]; now.After(leaf.NotAfter) {
		return fmt.Errorf("X.509-SVID expired at %v", leaf.NotAfter)
	} else if !publicKeysEqual(svid.PrivateKey.Public(), leaf.PublicKey) {
		return fmt.Errorf("key and certificate do not match")
	}
	for _, r := range requests {
		token := s.JWTSVIDs[r]
		if token == nil {
			return fmt.Errorf("no token for %s", r)
		}
		if !token.Expiry.After(now) {
			return fmt.Errorf("token for %s expired at %v", r, token.Expiry)
		}
	}
	return nil
}

// A thousand audiences are fetched a few at a time, and their renewals spread.
func TestThousandAudiences(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const audiences = 1000
		a := newAuthority(t, "example.org")
		var mu sync.Mutex
		running, most := 0, 0
		needs := Needs{}
		for i := range audiences {
			needs.JWTSVIDs = append(needs.JWTSVIDs, jwtRequest("", fmt.Sprintf("audience-%d", i)))
		}
		life := 5 * time.Minute
		f := &fakeServer{jwt: func(ctx context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(5 * time.Millisecond)
			mu.Lock()
			running--
			mu.Unlock()
			return answerJWT(t, a, life)(ctx, req)
		}}
		s := newFakeSource(t, f, needs, (&logCounter{}).logger())
		stop := run(t, s)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(s.Snapshot().JWTSVIDs); n != audiences || f.fetched() != audiences {
			t.Fatalf("%d tokens after %d fetches, want %d of each", n, f.fetched(), audiences)
		}
		if most != maxFetches {
			t.Errorf("up to %d fetches at a time, want %d", most, maxFetches)
		}

		life = time.Hour
		busiest, before, start := 0, f.fetched(), time.Now()
		for time.Since(start) < 3*time.Minute {
			last := f.fetched()
			time.Sleep(time.Second)
			synctest.Wait()
			busiest = max(busiest, f.fetched()-last)
		}
		if n := f.fetched() - before; n != audiences {
			t.Errorf("%d renewals in three minutes, want %d", n, audiences)
		}
		t.Logf("busiest second of the renewals: %d of %d", busiest, audiences)
		if busiest > audiences/10 {
			t.Errorf("%d renewals in one second: they do not spread", busiest)
		}
		stop()
	})
}

// One audience that is denied, or hangs, does not delay the others.
func TestOneAudienceDoesNotDelayAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, "example.org")
		good := answerJWT(t, a, time.Hour)
		f := &fakeServer{jwt: func(ctx context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
			switch req.GetAudience()[0] {
			case "denied":
				return nil, status.Error(codes.PermissionDenied, "no")
			case "hangs":
				<-ctx.Done()
				return nil, status.FromContextError(ctx.Err()).Err()
			}
			return good(ctx, req)
		}}
		f.x509.fail(status.Error(codes.PermissionDenied, "no"))
		s := newFakeSource(t, f, Needs{X509: true, JWTSVIDs: []snapshot.JWTRequest{
			jwtRequest("", "denied"), jwtRequest("", "hangs"), jwtRequest("", "good"),
		}}, logger(t))
		stop := run(t, s)
		time.Sleep(time.Second)
		synctest.Wait()
		if s.Snapshot() == nil || s.Snapshot().JWTSVIDs[jwtRequest("", "good")] == nil {
			t.Error("the good one is not there")
		}
		var awaited []string
		for _, p := range s.Status().Awaited() {
			awaited = append(awaited, p.Name())
		}
		if got, want := fmt.Sprint(awaited), "[x509_svid jwt_svid for denied jwt_svid for hangs]"; got != want {
			t.Errorf("awaited: %s, want %s", got, want)
		}
		stop()
	})
}

// A token of tiny life does not make the source spin.
func TestTokensThatHardlyLive(t *testing.T) {
	for name, life := range map[string]time.Duration{"1 s": time.Second, "100 ms after a skew": 100 * time.Millisecond, "expired": -time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeServer{jwt: answerJWT(t, newAuthority(t, "example.org"), life)}
				s := newFakeSource(t, f, Needs{JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}, logger(t))
				stop := run(t, s)
				time.Sleep(10 * time.Second)
				if n := f.fetched(); n < 3 || n > 11 {
					t.Errorf("%d fetches in 10 s, want 3 to 11", n)
				}
				stop()
			})
		})
	}
}

func TestRenewalAtHalfOfWhatRemains(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		life   time.Duration
		random float64
		want   time.Duration
	}{
		{5 * time.Minute, 0, 135 * time.Second},
		{5 * time.Minute, 0.5, 150 * time.Second},
		{5 * time.Minute, 0.9999999999, 165 * time.Second},
		{time.Second, 0.5, time.Second},
		{-time.Second, 0.5, time.Second},
	} {
		got := renewal(now.Add(tt.life), now, tt.random).Sub(now)
		if (got - tt.want).Abs() > time.Microsecond {
			t.Errorf("life %v, random %v: renewed after %v, want %v", tt.life, tt.random, got, tt.want)
		}
	}
}

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
		if p := after(time.Minute); p.Revoked.IsZero() {
			t.Error("an outage took the refusal back")
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
