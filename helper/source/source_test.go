package source

import (
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// everything needs all profiles, and tokens for the given audiences.
func everything(audiences ...string) Needs {
	n := Needs{X509: true, X509Bundles: true, JWTBundles: true, WIT: true, WITBundles: true}
	for _, a := range audiences {
		n.JWTSVIDs = append(n.JWTSVIDs, snapshot.NewJWTRequest([]string{a}, spiffeid.ID{}, ""))
	}
	return n
}

func newTestSource(t *testing.T, cfg Config) *Source {
	t.Helper()
	s, err := New(cfg, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func allArrived(_ *snapshot.Snapshot, st Status) bool {
	return len(st.Profiles) > 0 && len(st.Awaited()) == 0
}

func TestEveryProfileArrives(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{CRL: true, Federated: []spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("other.test")}})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: everything("a", "b")})
	stop := run(t, s)
	await(t, s, "everything", func(snap *snapshot.Snapshot, st Status) bool {
		return allArrived(snap, st) && len(st.Profiles) == 7
	})
	snap := s.Snapshot()
	if snap.X509 == nil || snap.X509Bundles == nil || len(snap.JWTSVIDs) != 2 || snap.JWTBundles == nil || snap.WIT == nil || snap.WITBundles == nil {
		t.Fatalf("snapshot lacks a part: %+v", snap)
	}
	if len(snap.X509.Federated) != 1 || len(snap.X509.CRLs) == 0 {
		t.Errorf("federated bundles: %d, CRLs: %d, want both", len(snap.X509.Federated), len(snap.X509.CRLs))
	}
	if err := stop(); err != nil {
		t.Errorf("Run after its context ended: %v", err)
	}
}
