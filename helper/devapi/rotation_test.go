//go:build unix

package devapi_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

func TestRotateOneIdentity(t *testing.T) {
	s, _ := devapitest.New(t, devapi.Config{Identities: []devapi.Identity{{ID: web}, {ID: db}}})
	before, after := s.SVIDs(), s.Rotate(db)
	if serial(before[0]) != serial(after[0]) || serial(before[1]) == serial(after[1]) {
		t.Error("rotated the wrong identity")
	}
	if before[1].PrivateKey.Public().(equaler).Equal(after[1].PrivateKey.Public()) {
		t.Error("rotation kept the key")
	}
}

// Old and new together, then new alone: at no step does a holder of the current
// SVID fail against the current bundle.
func TestAuthorityRotation(t *testing.T) {
	s, _ := devapitest.New(t, devapi.Config{CRL: true, Intermediate: true})
	token := func() string {
		svid, err := s.Authority(home).IssueJWTSVID(devapi.Identity{ID: web}, []string{"a"}, time.Now(), time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		return svid.Svid
	}
	verify := func(step string, svid *x509svid.SVID, jwt string, authorities int, want bool) {
		t.Helper()
		bundle, err := s.X509Bundles().GetX509BundleForTrustDomain(home)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(bundle.X509Authorities()); n != authorities {
			t.Errorf("%s: %d authorities, want %d", step, n, authorities)
		}
		if _, _, err := x509svid.Verify(svid.Certificates, bundle); (err == nil) != want {
			t.Errorf("%s: X.509-SVID: %v", step, err)
		}
		if _, err := jwtsvid.ParseAndValidate(jwt, s.JWTBundles(), []string{"a"}); (err == nil) != want {
			t.Errorf("%s: JWT-SVID: %v", step, err)
		}
	}
	old, oldToken := s.SVIDs()[0], token()
	verify("before", old, oldToken, 1, true)
	if err := s.AddAuthority(home); err != nil {
		t.Fatal(err)
	}
	if serial(s.SVIDs()[0]) != serial(old) {
		t.Error("a new authority alone has changed the SVID")
	}
	verify("both", old, oldToken, 2, true)
	now := s.Rotate()[0]
	verify("rotated", now, token(), 2, true)
	if err := s.RetireAuthorities(home); err != nil {
		t.Fatal(err)
	}
	verify("new alone", now, token(), 1, true)
	verify("old SVID", old, oldToken, 1, false)
}

// A rotation changes SVIDs and nothing else: streams of bundles stay silent.
func TestRotationSendsNoBundles(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{ManualRotation: true})
	client, ctx := stub(t, s), deadline(t)
	bundles, err := client.FetchX509Bundles(withHeader(ctx), &workload.X509BundlesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundles.Recv(); err != nil {
		t.Fatal(err)
	}
	recv := watch(t, ctx, client)
	for range 3 {
		s.Rotate()
		if _, err := recv(); err != nil {
			t.Fatal(err)
		}
	}
	s.Push() // the next message must be this one
	if _, err := bundles.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := f.WaitSent(ctx, devapi.FetchX509Bundles, 2); err != nil {
		t.Fatal(err)
	}
	if n := f.Counts().Sent[devapi.FetchX509Bundles]; n != 2 {
		t.Errorf("%d messages with bundles, want 2", n)
	}
}

func TestClockThatIsWrong(t *testing.T) {
	const skew = -5 * time.Minute
	s, _ := devapitest.New(t, devapi.Config{Now: func() time.Time { return time.Now().Add(skew) }, TTL: time.Hour})
	left := time.Until(s.SVIDs()[0].Certificates[0].NotAfter)
	if want := time.Hour + skew; left > want+2*time.Second || left < want-time.Minute {
		t.Errorf("%v left, want %v", left, want)
	}
}

// A day of hourly SVIDs, over a listener in memory: each stream hears of a
// rotation every half hour, exactly, and of nothing else.
func TestRotationAtHalfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bufconn.Listen(1 << 20)
		f := new(devapi.Faults)
		s, err := devapi.New(devapi.Config{
			Identities: []devapi.Identity{{ID: web}, {ID: db, TTL: 4 * time.Hour}},
			Listen:     func(string) (net.Listener, error) { return l, nil },
			Faults:     f,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start("memory"); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour+time.Minute)
		defer cancel()
		stream, err := workload.NewSpiffeWorkloadAPIClient(conn).FetchX509SVID(withHeader(ctx), &workload.X509SVIDRequest{})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		seen := make(map[string]int)
		for i := 0; ; i++ {
			resp, err := stream.Recv()
			if status.Code(err) == codes.DeadlineExceeded {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if at, want := time.Since(begin), time.Duration(i)*30*time.Minute; at < want || at > want+time.Second {
				t.Fatalf("message %d after %v, want %v", i, at, want)
			}
			for _, v := range resp.Svids {
				svid, err := x509svid.ParseRaw(v.X509Svid, v.X509SvidKey)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := x509svid.Verify(svid.Certificates, s.X509Bundles()); err != nil {
					t.Error(err)
				}
				seen[v.SpiffeId+" "+serial(svid)]++
			}
		}
		count := func(id spiffeid.ID) (n int) {
			for key := range seen {
				if strings.HasPrefix(key, id.String()+" ") {
					n++
				}
			}
			return n
		}
		if count(web) != 49 || count(db) != 13 {
			t.Errorf("%d and %d SVIDs in a day, want 49 and 13", count(web), count(db))
		}
	})
}

// For the race detector: everything at once.
func TestEverythingAtOnce(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{TTL: time.Second, Federated: []spiffeid.TrustDomain{far}})
	client, ctx := stub(t, s), deadline(t)
	var wg sync.WaitGroup
	for _, call := range calls(client) {
		wg.Go(func() {
			for range 30 {
				_ = call(withHeader(ctx))
			}
		})
	}
	wg.Go(func() {
		for range 10 {
			s.Rotate()
			s.Push()
			f.Break(codes.Unavailable)
			_ = s.AddAuthority(home)
			_ = s.RetireAuthorities(home)
			_ = s.Revoke(s.SVIDs()[0])
			devapi.Mutate(f, func(r *workload.X509SVIDResponse) { r.Svids = nil })
			s.Down()
			if err := s.Up(); err != nil {
				t.Error(err)
			}
			f.Heal()
			_ = f.Counts()
		}
	})
	wg.Wait()
	if err := calls(stub(t, s))[devapi.FetchX509SVID](withHeader(ctx)); err != nil {
		t.Errorf("after all that: %v", err)
	}
}
