//go:build unix

package devapi_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/exp/svid/witsvid"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

type equaler interface{ Equal(crypto.PublicKey) bool }
type signer interface{ Public() crypto.PublicKey }

var home = web.TrustDomain()

func TestWITSVIDs(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{
		Identities: []devapi.Identity{{ID: web, Hint: "w"}, {ID: db, KeyType: devapi.RSA2048}},
		Federated:  []spiffeid.TrustDomain{far},
	})
	ctx := deadline(t)
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(s.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	bundles, err := client.FetchWITBundles(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if bundles.Len() != 2 || !bundles.Has(far) {
		t.Errorf("%d bundles", bundles.Len())
	}
	svids, err := client.FetchWITSVIDs(ctx, "")
	if err != nil || len(svids) != 2 || svids[0].Hint != "w" {
		t.Fatalf("%v, %v", svids, err)
	}
	for _, svid := range svids {
		if _, err := witsvid.ParseAndValidate(svid.Marshal(), bundles); err != nil {
			t.Error(err)
		}
		if !svid.PublicKey.(equaler).Equal(svid.PrivateKey.(signer).Public()) {
			t.Errorf("%s: the key is not the one that the token is bound to", svid.ID)
		}
	}
	if one, err := client.FetchWITSVIDs(ctx, db.String()); err != nil || len(one) != 1 || one[0].ID != db {
		t.Errorf("%v, %v", one, err)
	}
	if _, err := client.FetchWITSVIDs(ctx, "spiffe://example.org/nobody"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a SPIFFE ID that nobody has: %v", err)
	}
}

func TestWITStreamOfOneIdentityFollowsRotations(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{
		Identities:     []devapi.Identity{{ID: web}, {ID: db}},
		ManualRotation: true,
	})
	ctx := deadline(t)
	stream, err := stub(t, s).FetchWITSVID(withHeader(ctx), &workload.WITSVIDRequest{SpiffeId: db.String()})
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for i := range 3 {
		resp, err := stream.Recv()
		if err != nil || len(resp.Svids) != 1 {
			t.Fatal(resp, err)
		}
		tokens = append(tokens, resp.Svids[0].WitSvid)
		if i > 0 && tokens[i] == tokens[i-1] {
			t.Error("the same token after a rotation")
		}
		s.Rotate()
	}
	if n := f.Counts().Attempts[devapi.FetchWITSVID]; n != 1 {
		t.Errorf("%d attempts", n)
	}
}

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

func TestIdentitiesComeAndGo(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{Identities: []devapi.Identity{{ID: web}}})
	client, ctx := stub(t, s), deadline(t)
	recv := watch(t, ctx, client)
	kept := serial(s.SVIDs()[0])

	if err := s.SetIdentities(devapi.Identity{ID: db, Hint: "h"}, devapi.Identity{ID: web}); err != nil {
		t.Fatal(err)
	}
	resp, err := recv()
	if err != nil || len(resp.Svids) != 2 || resp.Svids[0].Hint != "h" {
		t.Fatal(resp, err)
	}
	if serial(s.SVIDs()[1]) != kept {
		t.Error("an identity that stayed has a new SVID")
	}
	if err := s.SetIdentities(devapi.Identity{ID: db, KeyType: "none"}); err == nil {
		t.Error("an unknown key type was accepted")
	}
	if len(s.SVIDs()) != 2 {
		t.Error("a refused change has changed something")
	}
	if err := s.SetIdentities(); err != nil {
		t.Fatal(err)
	}
	if _, err := recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("without an identity the stream ended with %v", err)
	}
	for rpc, call := range calls(client) {
		if err := call(withHeader(ctx)); status.Code(err) != codes.PermissionDenied {
			t.Errorf("without an identity %s answered %v", rpc, err)
		}
	}
}

func TestFederatedBundleDisappears(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{Federated: []spiffeid.TrustDomain{far}})
	client, ctx := stub(t, s), withHeader(deadline(t))
	stream, err := client.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
	if err != nil {
		t.Fatal(err)
	}
	bundles, err := client.FetchX509Bundles(ctx, &workload.X509BundlesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 0, 1} {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.FederatedBundles) != want || want == 1 && len(resp.FederatedBundles["spiffe://far.example"]) == 0 {
			t.Errorf("%d federated bundles, want %d", len(resp.FederatedBundles), want)
		}
		all, err := bundles.Recv()
		if err != nil || len(all.Bundles) != want+1 {
			t.Errorf("%d bundles, want %d: %v", len(all.GetBundles()), want+1, err)
		}
		var next []spiffeid.TrustDomain
		if want == 0 {
			next = append(next, far)
		}
		if err := s.SetFederated(next...); err != nil {
			t.Fatal(err)
		}
	}
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

func TestPushIsIdentical(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{
		Federated:      []spiffeid.TrustDomain{far},
		CRL:            true,
		ManualRotation: true,
	})
	ctx := withHeader(deadline(t))
	stream, err := stub(t, s).FetchX509SVID(ctx, &workload.X509SVIDRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	s.Push()
	second, err := stream.Recv()
	if err != nil || !proto.Equal(first, second) {
		t.Errorf("a push is not the same once more: %v", err)
	}
}

func TestRevokedSerialIsOnTheCRL(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{Intermediate: true})
	recv := watch(t, deadline(t), stub(t, s))
	svid := s.SVIDs()[0]
	if err := s.Revoke(svid); err != nil {
		t.Fatal(err)
	}
	resp, err := recv()
	if err != nil || len(resp.Crl) != 1 {
		t.Fatalf("%d revocation lists: %v", len(resp.GetCrl()), err)
	}
	crl, err := x509.ParseRevocationList(resp.Crl[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := crl.CheckSignatureFrom(svid.Certificates[1]); err != nil {
		t.Error(err)
	}
	if n := crl.RevokedCertificateEntries; len(n) != 1 || n[0].SerialNumber.Cmp(svid.Certificates[0].SerialNumber) != 0 {
		t.Errorf("revoked: %v", n)
	}
}

func TestAThousandFederatedBundles(t *testing.T) {
	var tds []spiffeid.TrustDomain
	for i := range 1000 {
		tds = append(tds, spiffeid.RequireTrustDomainFromString(fmt.Sprintf("td%d.example", i)))
	}
	begin := time.Now()
	s, _ := devapitest.Start(t, devapi.Config{Federated: tds, JWTAlgorithm: devapi.RS256})
	t.Logf("making 1,000 trust domains: %v", time.Since(begin))
	recv := watch(t, deadline(t), stub(t, s))
	begin = time.Now()
	s.Rotate()
	t.Logf("a rotation among them: %v", time.Since(begin))
	if resp, err := recv(); err != nil || len(resp.FederatedBundles) != 1000 {
		t.Fatal(len(resp.GetFederatedBundles()), err)
	}
}

func TestAThousandTokens(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{})
	client, ctx := stub(t, s), withHeader(deadline(t))
	begin := time.Now()
	seen := make(map[string]bool)
	for i := range 1000 {
		resp, err := client.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{fmt.Sprint("audience", i/2)}})
		if err != nil {
			t.Fatal(err)
		}
		seen[resp.Svids[0].Svid] = true
	}
	t.Logf("1,000 tokens, one after the other: %v", time.Since(begin))
	if len(seen) != 1000 {
		t.Errorf("%d different tokens of 1,000", len(seen))
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

// The first line says what this is, and no line ever holds a key.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	s, _ := devapitest.Start(t, devapi.Config{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), ManualRotation: true})
	s.Rotate()
	s.Close()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if !strings.Contains(lines[0], "development only") {
		t.Errorf("first line: %s", lines[0])
	}
	last := lines[len(lines)-1]
	for _, want := range []string{devapi.DefaultID.String(), serial(s.SVIDs()[0]), "expires="} {
		if !strings.Contains(last, want) {
			t.Errorf("the line of a rotation lacks %s: %s", want, last)
		}
	}
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
