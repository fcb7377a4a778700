//go:build unix

package devapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	web = spiffeid.RequireFromString("spiffe://example.org/web")
	db  = spiffeid.RequireFromString("spiffe://example.org/db")
	far = spiffeid.RequireTrustDomainFromString("far.example")
)

// deadline returns a context that ends well before the test does, and long after
// a busy machine has done what it takes.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// stub returns a bare client.
func stub(t *testing.T, s *devapi.Server) workload.SpiffeWorkloadAPIClient {
	t.Helper()
	return workload.NewSpiffeWorkloadAPIClient(dial(t, s))
}

func dial(t *testing.T, s *devapi.Server) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func withHeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true")
}

func serial(svid *x509svid.SVID) string {
	return fmt.Sprintf("%X", svid.Certificates[0].SerialNumber.Bytes())
}

func TestX509SourceFollowsRotations(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	ctx := deadline(t)
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(s.Addr())))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for range 5 {
		svid, err := source.GetX509SVID()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := serial(svid), serial(s.SVIDs()[0]); got != want {
			t.Fatalf("serial %s, want %s", got, want)
		}
		if _, _, err := x509svid.Verify(svid.Certificates, source); err != nil {
			t.Fatal(err)
		}
		updated := source.Updated()
		if now := s.Rotate()[0]; serial(now) == serial(svid) {
			t.Fatal("rotation kept the serial")
		}
		select {
		case <-updated:
		case <-ctx.Done():
			t.Fatal("no update after a rotation")
		}
	}
}

// X509-SVID 2 to 4.3, and validity.
func TestX509SVIDConforms(t *testing.T) {
	s, _ := devapitest.New(t, devapi.Config{
		Identities: []devapi.Identity{
			{ID: web, Hint: "external", DNS: []string{"web.example", "*.web.example"}},
			{ID: db, Hint: "internal", KeyType: devapi.RSA2048, TTL: time.Minute},
			{ID: db, KeyType: devapi.ECP384},
			{ID: db, KeyType: devapi.Ed25519},
		},
		Intermediate: true,
		TTL:          time.Second,
	})
	issued := time.Now()
	svids := s.SVIDs()
	for i, svid := range svids {
		leaf := svid.Certificates[0]
		if len(svid.Certificates) != 2 {
			t.Errorf("%d: chain of %d, want leaf and intermediate", i, len(svid.Certificates))
		}
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != svid.ID.String() {
			t.Errorf("%d: URI SANs %v", i, leaf.URIs)
		}
		if leaf.IsCA || !leaf.BasicConstraintsValid || leaf.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || len(leaf.SubjectKeyId) != 20 {
			t.Errorf("%d: CA %v, key usage %b", i, leaf.IsCA, leaf.KeyUsage)
		}
		if age := issued.Sub(leaf.NotBefore); age < time.Second || age > time.Minute {
			t.Errorf("%d: not before %v, %v ago", i, leaf.NotBefore, age)
		}
		if _, _, err := x509svid.Verify(svid.Certificates, s.X509Bundles(), x509svid.WithTime(leaf.NotAfter)); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		root, err := s.X509Bundles().GetX509BundleForTrustDomain(svid.ID.TrustDomain())
		if err != nil {
			t.Fatal(err)
		}
		for _, ca := range append(root.X509Authorities(), svid.Certificates[1]) {
			if fmt.Sprint(ca.Subject.Organization) != "[svidhelper dev: for development only]" {
				t.Errorf("authority's subject is %s", ca.Subject)
			}
			if len(ca.URIs) != 1 || ca.URIs[0].String() != "spiffe://example.org" {
				t.Errorf("authority's URI SANs are %v", ca.URIs)
			}
		}
	}
	if err := svids[0].Certificates[0].VerifyHostname("a.web.example"); err != nil {
		t.Error(err)
	}
	if svids[0].Hint != "external" || svids[1].Hint != "internal" {
		t.Errorf("hints %q, %q", svids[0].Hint, svids[1].Hint)
	}
	if _, ok := svids[0].PrivateKey.(*ecdsa.PrivateKey); !ok {
		t.Errorf("key is %T", svids[0].PrivateKey)
	}
	if key, ok := svids[1].PrivateKey.(*rsa.PrivateKey); !ok || key.N.BitLen() != 2048 {
		t.Errorf("key is %T", svids[1].PrivateKey)
	}
	if key, ok := svids[2].PrivateKey.(*ecdsa.PrivateKey); !ok || key.Params().BitSize != 384 {
		t.Errorf("key is %T", svids[2].PrivateKey)
	}
	if _, ok := svids[3].PrivateKey.(ed25519.PrivateKey); !ok {
		t.Errorf("key is %T", svids[3].PrivateKey)
	}
	for i, want := range []time.Duration{time.Second, time.Minute} {
		leaf := svids[i].Certificates[0]
		life := leaf.NotAfter.Sub(leaf.NotBefore) - 10*time.Second // backdated
		if life < want || life > want+2*time.Second {
			t.Errorf("%d: lives for %v, want %v and the rest of the second", i, life, want)
		}
	}
}

func TestHeaderIsEnforced(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{})
	client := stub(t, s)
	for name, ctx := range map[string]context.Context{
		"none":  deadline(t),
		"false": metadata.AppendToOutgoingContext(deadline(t), "workload.spiffe.io", "false"),
		"twice": withHeader(withHeader(deadline(t))),
	} {
		for rpc, call := range calls(client) {
			if err := call(ctx); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s: %s: %v", name, rpc, err)
			}
		}
	}
	for rpc, call := range calls(client) {
		if err := call(withHeader(deadline(t))); err != nil && rpc != devapi.ValidateJWTSVID {
			t.Errorf("with the header: %s: %v", rpc, err)
		}
	}
}

// calls returns each RPC as a function that waits for its first answer.
func calls(c workload.SpiffeWorkloadAPIClient) map[devapi.RPC]func(context.Context) error {
	return map[devapi.RPC]func(context.Context) error{
		devapi.FetchX509SVID: func(ctx context.Context) error {
			return first(ctx, c.FetchX509SVID, &workload.X509SVIDRequest{})
		},
		devapi.FetchX509Bundles: func(ctx context.Context) error {
			return first(ctx, c.FetchX509Bundles, &workload.X509BundlesRequest{})
		},
		devapi.FetchJWTBundles: func(ctx context.Context) error {
			return first(ctx, c.FetchJWTBundles, &workload.JWTBundlesRequest{})
		},
		devapi.FetchWITSVID: func(ctx context.Context) error {
			return first(ctx, c.FetchWITSVID, &workload.WITSVIDRequest{})
		},
		devapi.FetchWITBundles: func(ctx context.Context) error {
			return first(ctx, c.FetchWITBundles, &workload.WITBundlesRequest{})
		},
		devapi.FetchJWTSVID: func(ctx context.Context) error {
			_, err := c.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"a"}})
			return err
		},
		devapi.ValidateJWTSVID: func(ctx context.Context) error {
			_, err := c.ValidateJWTSVID(ctx, &workload.ValidateJWTSVIDRequest{Audience: "a", Svid: "b"})
			return err
		},
	}
}

func first[Req, Resp any](ctx context.Context, fetch func(context.Context, *Req, ...grpc.CallOption) (grpc.ServerStreamingClient[Resp], error), req *Req) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := fetch(ctx, req)
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

func TestJWTSVIDs(t *testing.T) {
	for _, alg := range []devapi.JWTAlgorithm{devapi.ES256, devapi.RS256} {
		t.Run(string(alg), func(t *testing.T) {
			s, _ := devapitest.Start(t, devapi.Config{
				Identities:   []devapi.Identity{{ID: web, Hint: "w"}, {ID: db, Hint: "d"}},
				Federated:    []spiffeid.TrustDomain{far},
				JWTAlgorithm: alg,
				JWTTTL:       time.Second,
			})
			ctx := deadline(t)
			client, err := workloadapi.New(ctx, workloadapi.WithAddr(s.Addr()))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			before := time.Now()
			svids, err := client.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: "a", ExtraAudiences: []string{"b"}})
			after := time.Now()
			if err != nil {
				t.Fatal(err)
			}
			if len(svids) != 2 || svids[0].ID != web || svids[1].ID != db || svids[0].Hint != "w" || svids[1].Hint != "d" {
				t.Fatalf("got %v", svids)
			}
			bundles, err := client.FetchJWTBundles(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !bundles.Has(far) || bundles.Len() != 2 {
				t.Errorf("%d bundles", bundles.Len())
			}
			for _, svid := range svids {
				for _, audience := range []string{"a", "b"} {
					if _, err := jwtsvid.ParseAndValidate(svid.Marshal(), bundles, []string{audience}); err != nil {
						t.Error(err)
					}
					if _, err := client.ValidateJWTSVID(ctx, svid.Marshal(), audience); err != nil {
						t.Error(err)
					}
				}
				if _, err := client.ValidateJWTSVID(ctx, svid.Marshal(), "c"); status.Code(err) != codes.InvalidArgument {
					t.Errorf("validated for another audience: %v", err)
				}
				if svid.Expiry.Before(before.Add(time.Second)) || svid.Expiry.After(after.Add(2*time.Second)) {
					t.Errorf("issued before %v for a second, it expires at %v", after, svid.Expiry)
				}
			}
			one, err := client.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: "a", Subject: db})
			if err != nil || len(one) != 1 || one[0].ID != db {
				t.Errorf("got %v, %v", one, err)
			}
			other := spiffeid.RequireFromPath(far, "/x")
			if _, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "a", Subject: other}); status.Code(err) != codes.PermissionDenied {
				t.Errorf("a SPIFFE ID that nobody has: %v", err)
			}
		})
	}
}
