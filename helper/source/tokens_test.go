package source

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

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
		if n := len(s.Status().Snapshot.JWTSVIDs); n != audiences || f.fetched() != audiences {
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
		if s.Status().Snapshot == nil || s.Status().Snapshot.JWTSVIDs[jwtRequest("", "good")] == nil {
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

// Many audiences that hang, more than are fetched at a time, hold up nobody for
// long, neither at first nor when they are tried again; and there is an end to
// how many wait for an answer.
func TestAudiencesThatHangHoldUpNobody(t *testing.T) {
	t.Parallel()
	for hanging, within := range map[int]time.Duration{
		maxFetches:              2 * slow,
		maxPending - maxFetches: 8 * slow,
		3 * maxPending:          4 * answerTimeout, // each has its turn
	} {
		t.Run(fmt.Sprint(hanging), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				good := answerJWT(t, newAuthority(t, "example.org"), 5*time.Minute)
				var pending, most atomic.Int32
				f := &fakeServer{jwt: func(ctx context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
					if req.GetAudience()[0] == "good" {
						return good(ctx, req)
					}
					most.Store(max(most.Load(), pending.Add(1)))
					defer pending.Add(-1)
					<-ctx.Done()
					return nil, status.FromContextError(ctx.Err()).Err()
				}}
				needs := Needs{JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "good")}}
				for i := range hanging {
					needs.JWTSVIDs = append(needs.JWTSVIDs, jwtRequest("", fmt.Sprint("hangs ", i)))
				}
				s := newFakeSource(t, f, needs, logger(t))
				stop := run(t, s)
				for range 4 * 60 {
					time.Sleep(time.Second)
					synctest.Wait()
					svid := s.Status().Snapshot
					missing := svid == nil || !svid.JWTSVIDs[needs.JWTSVIDs[0]].Expiry.After(time.Now())
					if up := time.Since(s.Status().Connection.Since); missing && up > within {
						t.Fatalf("no valid token %v after the start", up)
					}
				}
				if n := int(most.Load()); n > maxPending {
					t.Errorf("up to %d fetches at a time, want at most %d", n, maxPending)
				}
				stop()
			})
		})
	}
}

// An identity that is issued late is noticed within seconds, by one token or a
// hundred, and does not cost a hundred requests every few seconds.
func TestTokensOfALateIdentity(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 100} {
		for _, code := range []codes.Code{codes.PermissionDenied, codes.Unavailable} {
			t.Run(fmt.Sprint(count, " ", code), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					good := answerJWT(t, newAuthority(t, "example.org"), time.Hour)
					from := time.Now().Add(92 * time.Second)
					f := &fakeServer{jwt: func(ctx context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
						if time.Now().Before(from) {
							return nil, status.Error(code, "not yet")
						}
						return good(ctx, req)
					}}
					needs := Needs{}
					for i := range count {
						needs.JWTSVIDs = append(needs.JWTSVIDs, jwtRequest("", fmt.Sprint(i)))
					}
					s := newFakeSource(t, f, needs, (&logCounter{}).logger())
					stop := run(t, s)
					time.Sleep(time.Until(from))
					// 1 s doubling to 30 s, one more every 5 s, and while the
					// connection is new, eight four times a second.
					if n := f.fetched(); n > 8*count+20+10*4*2*min(count, maxFetches) {
						t.Errorf("%d fetches of %d tokens in 92 s", n, count)
					}
					time.Sleep(probeEvery + time.Second)
					synctest.Wait()
					if !allArrived(s.Status().Snapshot, s.Status()) {
						t.Errorf("%d tokens are not there %v after the identity", len(s.Status().Awaited()), time.Since(from))
					}
					check(t, stop())
				})
			})
		}
	}
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

// An agent keeps its token until about half of its life, and says the same one until
// then. A source that asks a moment too early asks again soon, and long before a quarter
// is left.
func TestRenewalByAnAgentThatKeepsItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 5 * time.Minute
		var mu sync.Mutex
		var kept *workload.JWTSVIDResponse
		var made time.Time
		var latest time.Duration // in a token's life that another one took its place
		fresh := answerJWT(t, newAuthority(t, "example.org"), life)
		f := &fakeServer{jwt: func(ctx context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
			mu.Lock()
			defer mu.Unlock()
			if age := time.Since(made); kept == nil || age > life*55/100 {
				if kept != nil {
					latest = max(latest, age)
				}
				var err error
				if kept, err = fresh(ctx, req); err != nil {
					return nil, err
				}
				made = time.Now()
			}
			return kept, nil
		}}
		s := newFakeSource(t, f, Needs{JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}, logger(t))
		stop := run(t, s)
		time.Sleep(5 * time.Hour)
		stop()
		if latest == 0 || latest > life*7/10 {
			t.Errorf("a token was renewed after %s of %s", latest, life)
		}
		if n := f.fetched(); n > 400 {
			t.Errorf("%d fetches in 5 hours", n)
		}
	})
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
