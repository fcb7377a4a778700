//go:build unix

package devapi_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

var home = web.TrustDomain()

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
