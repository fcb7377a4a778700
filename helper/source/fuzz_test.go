package source

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"google.golang.org/protobuf/proto"
)

// wire returns the message as it comes from the network.
func wire(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is accepted is valid by other means than those that accepted it.
func FuzzX509Response(f *testing.F) {
	a := newAuthority(f, "example.org")
	good := x509Answer(issueX509(f, a, testID, "one"), issueX509(f, a, testID, "two"))
	good.FederatedBundles = map[string][]byte{"spiffe://other.test": newAuthority(f, "other.test").X509Authority().Raw}
	good.Crl = [][]byte{must(a.IssueCRL(1, time.Now(), nil))}
	f.Add(wire(f, good))
	f.Add(wire(f, x509Answer()))
	f.Add([]byte("garbage"))
	prev, err := parseX509(f.Context(), clone(good), nil, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var resp workload.X509SVIDResponse
		if proto.Unmarshal(raw, &resp) != nil {
			return
		}
		for _, before := range []*x509Part{nil, prev} {
			part, err := parseX509(t.Context(), &resp, before, time.Now())
			if part == nil {
				if err == nil {
					t.Fatal("neither accepted nor refused")
				}
				continue
			}
			checkX509Part(t, part)
			if again, err2 := parseX509(t.Context(), clone(&resp), part, time.Now()); (err == nil) != (err2 == nil) || again != part {
				t.Fatalf("accepted once, then %v", err2)
			}
		}
	})
}

func checkX509Part(t *testing.T, p *x509Part) {
	t.Helper()
	if len(p.out.SVIDs) == 0 || len(p.out.SVIDs) != len(p.set.raw) {
		t.Fatal("accepted without an SVID")
	}
	for _, s := range p.out.SVIDs {
		leaf := s.Certificates[0]
		roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
		for _, c := range s.Bundle.X509Authorities() {
			roots.AddCert(c)
		}
		for _, c := range s.Certificates[1:] {
			intermediates.AddCert(c)
		}
		usages := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: usages}); err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		if !publicKeysEqual(s.PrivateKey.Public(), leaf.PublicKey) {
			t.Fatal("accepted with another's key")
		}
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != s.ID.String() || len(s.Hint) > maxHint {
			t.Fatalf("accepted as %s, is %v", s.ID, leaf.URIs)
		}
	}
	for _, b := range p.out.Federated {
		if b.Empty() {
			t.Fatal("accepted with an empty federated bundle")
		}
	}
}

func FuzzJWTSVIDResponse(f *testing.F) {
	a, now := newAuthority(f, "example.org"), time.Now()
	hinted := devapi.Identity{ID: testID, Hint: "h"}
	good := &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{
		issueJWT(f, a, devapi.Identity{ID: testID}, now, now.Add(24*time.Hour), "a", "b"),
		issueJWT(f, a, hinted, now, now.Add(24*time.Hour), "a", "b"),
	}}
	expired := &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{issueJWT(f, a, hinted, now.Add(-time.Hour), now.Add(-time.Minute), "a")}}
	f.Add(wire(f, good), "a", "")
	f.Add(wire(f, good), "a,b", "h")
	f.Add(wire(f, expired), "a", "")
	f.Add([]byte("garbage"), "", "x")
	f.Fuzz(func(t *testing.T, raw []byte, audience, hint string) {
		var resp workload.JWTSVIDResponse
		if proto.Unmarshal(raw, &resp) != nil {
			return
		}
		req := jwtRequest(hint, strings.Split(audience, ",")...)
		svid, err := parseJWT(&resp, req, nil, time.Now())
		if err != nil {
			if svid != nil {
				t.Fatal("refused, and returned all the same")
			}
			return
		}
		if !svid.Expiry.After(time.Now().Add(-time.Second)) || svid.ID.IsZero() || hint != "" && svid.Hint != hint {
			t.Fatalf("accepted: %s until %s with hint %q", svid.ID, svid.Expiry, svid.Hint)
		}
		given := make(map[string]bool)
		for _, a := range svid.Audience {
			given[a] = true
		}
		for _, a := range req.Audience() {
			if !given[a] {
				t.Fatalf("accepted for %q without audience %q", svid.Audience, a)
			}
		}
	})
}

func FuzzWITSVIDResponse(f *testing.F) {
	a, now := newAuthority(f, "example.org"), time.Now()
	one, two := devapi.Identity{ID: testID}, devapi.Identity{ID: testID, Hint: "two"}
	good := &workload.WITSVIDResponse{Svids: []*workload.WITSVID{
		issueWIT(f, a, one, now, now.Add(24*time.Hour)), issueWIT(f, a, two, now, now.Add(24*time.Hour)),
	}}
	f.Add(wire(f, good))
	f.Add([]byte("garbage"))
	prev := must(parseWIT(f.Context(), clone(good), nil, now))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var resp workload.WITSVIDResponse
		if proto.Unmarshal(raw, &resp) != nil {
			return
		}
		for _, before := range []*witPart{nil, prev} {
			part, err := parseWIT(t.Context(), &resp, before, time.Now())
			if part == nil {
				if err == nil {
					t.Fatal("neither accepted nor refused")
				}
				continue
			}
			for _, s := range part.out.SVIDs {
				if s.PrivateKey == nil || s.ID.IsZero() || len(s.Hint) > maxHint || before == nil && !s.Expiry.After(time.Now().Add(-time.Second)) {
					t.Fatalf("accepted: %+v", s)
				}
			}
			if again, err2 := parseWIT(t.Context(), clone(&resp), part, time.Now()); (err == nil) != (err2 == nil) || again != part {
				t.Fatalf("accepted once, then %v", err2)
			}
		}
	})
}

// FuzzBundles feeds one trust domain and one document to each of the parsers of
// bundles.
func FuzzBundles(f *testing.F) {
	api, err := devapi.New(devapi.Config{})
	if err != nil {
		f.Fatal(err)
	}
	defer api.Close()
	td := devapi.DefaultID.TrustDomain()
	f.Add(td.Name(), api.Authority(td).X509Authority().Raw)
	f.Add(td.IDString(), must(must(api.JWTBundles().GetJWTBundleForTrustDomain(td)).Marshal()))
	f.Add(td.IDString(), must(must(api.WITBundles().GetWITBundleForTrustDomain(td)).Marshal()))
	f.Add("", []byte(`{"keys":[{"kty":"oct","kid":"k","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, name string, doc []byte) {
		bundles := map[string][]byte{name: doc}
		if p, err := parseX509Bundles(t.Context(), &workload.X509BundlesResponse{Bundles: bundles}, nil, time.Now()); err == nil {
			mustName(t, p.out.Bundles[0].TrustDomain())
			if p.out.Bundles[0].Empty() {
				t.Fatal("accepted an empty X.509 bundle")
			}
		}
		if p, err := parseJWTBundles(t.Context(), &workload.JWTBundlesResponse{Bundles: bundles}, nil, time.Now()); err == nil {
			mustName(t, p.out.Bundles[0].TrustDomain())
			if _, err := p.out.Bundles[0].Marshal(); err != nil {
				t.Fatalf("accepted a JWT bundle that cannot be written: %v", err)
			}
		}
		if p, err := parseWITBundles(t.Context(), &workload.WITBundlesResponse{Bundles: map[string]string{name: string(doc)}}, nil, time.Now()); err == nil {
			mustName(t, p.out.Bundles[0].TrustDomain())
			if _, err := p.out.Bundles[0].Marshal(); err != nil {
				t.Fatalf("accepted a WIT bundle that cannot be written: %v", err)
			}
		}
	})
}

func mustName(t *testing.T, td spiffeid.TrustDomain) {
	t.Helper()
	if td.IsZero() {
		t.Fatal("accepted a bundle of no trust domain")
	}
}
