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
		d.set(nil, false, time.Now()) // the link before may have been too young for another one soon
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
			if err := usable(s.Status().Snapshot, requests); err != nil {
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
