//go:build unix

package devapi_test

import (
	"crypto"
	"testing"

	"github.com/spiffe/go-spiffe/v2/exp/svid/witsvid"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

type equaler interface{ Equal(crypto.PublicKey) bool }
type signer interface{ Public() crypto.PublicKey }

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
