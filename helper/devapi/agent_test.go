//go:build unix

package devapi_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// Tokens look as an agent's do.
func TestTokensAsOfAnAgent(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{})
	api := stub(t, s)
	resp, err := api.FetchJWTSVID(withHeader(deadline(t)), &workload.JWTSVIDRequest{Audience: []string{"vault"}})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(resp.Svids[0].Svid, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if claims := string(payload); !strings.Contains(claims, `"aud":["vault"]`) || strings.Contains(claims, "jti") {
		t.Errorf("claims %s", claims)
	}
	_, err = api.FetchJWTSVID(withHeader(deadline(t)), &workload.JWTSVIDRequest{Audience: []string{"vault", ""}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("an empty audience: %v", err)
	}
	bundles, err := api.FetchJWTBundles(withHeader(deadline(t)), &workload.JWTBundlesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := bundles.Recv(); err != nil || strings.Contains(string(first.Bundles["spiffe://example.org"]), `"use"`) {
		t.Errorf("JWT bundle %v, %v", first, err)
	}
}

func TestHealthNeedsNoHeader(t *testing.T) {
	s, _ := devapitest.Start(t, devapi.Config{})
	resp, err := healthpb.NewHealthClient(dial(t, s)).Check(deadline(t), &healthpb.HealthCheckRequest{})
	if err != nil || resp.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", resp, err)
	}
}

// Identities that were issued together are renewed in one message.
func TestOneMessageForARotation(t *testing.T) {
	id := func(path string) devapi.Identity {
		return devapi.Identity{ID: spiffeid.RequireFromPath(spiffeid.RequireTrustDomainFromString("example.org"), path)}
	}
	s, _ := devapitest.Start(t, devapi.Config{Identities: []devapi.Identity{id("/a"), id("/b"), id("/c")}, TTL: 2 * time.Second})
	answers, next := x509Answers(t, s)
	before, after := answers, next()
	for i := range before.Svids {
		if string(before.Svids[i].X509Svid) == string(after.Svids[i].X509Svid) {
			t.Errorf("SVID %d was not renewed with the others", i)
		}
	}
}

// While others remain, an identity that is withdrawn is just missing.
func TestWithdrawnIdentityIsMissing(t *testing.T) {
	id := func(path string) devapi.Identity {
		return devapi.Identity{ID: spiffeid.RequireFromPath(spiffeid.RequireTrustDomainFromString("example.org"), path)}
	}
	s, _ := devapitest.Start(t, devapi.Config{Identities: []devapi.Identity{id("/a"), id("/b")}})
	first, next := x509Answers(t, s)
	if err := s.SetIdentities(id("/b")); err != nil {
		t.Fatal(err)
	}
	if got := next(); len(got.Svids) != 1 || string(got.Svids[0].X509Svid) != string(first.Svids[1].X509Svid) {
		t.Errorf("%d SVIDs, want b's alone, as it was", len(got.Svids))
	}
	if err := s.SetIdentities(id("/c"), id("/b")); err != nil {
		t.Fatal(err)
	}
	if got := next(); len(got.Svids) != 2 || got.Svids[0].SpiffeId != "spiffe://example.org/c" {
		t.Errorf("%d SVIDs, want c's and b's", len(got.Svids))
	}
}

// x509Answers returns the first answer of FetchX509SVID, and how to get the next.
func x509Answers(t *testing.T, s *devapi.Server) (*workload.X509SVIDResponse, func() *workload.X509SVIDResponse) {
	t.Helper()
	ctx, cancel := context.WithCancel(withHeader(deadline(t)))
	t.Cleanup(cancel)
	stream, err := stub(t, s).FetchX509SVID(ctx, &workload.X509SVIDRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func() *workload.X509SVIDResponse {
		t.Helper()
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	return next(), next
}
