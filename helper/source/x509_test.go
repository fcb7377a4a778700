package source

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/devapi"
)

// wantReason checks that err is a refusal for that reason.
func wantReason(t *testing.T, err error, want Reason) {
	t.Helper()
	var r *Rejection
	if !errors.As(err, &r) || r.Reason != want {
		t.Errorf("got error %v (%T), want a refusal with reason %q", err, err, want)
	}
}

func TestX509RefusedWithReason(t *testing.T) {
	own, stranger := newAuthority(t, "example.org"), newAuthority(t, "evil.test")
	twin := newAuthority(t, "example.org")
	good := issueX509(t, own, testID, "")
	other := issueX509(t, own, spiffeid.RequireFromString("spiffe://example.org/db"), "other")
	now := time.Now()
	dead, err := devapi.NewAuthority(testTD, devapi.AuthorityOptions{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	ofDead := issueX509(t, dead, testID, "")
	edit := func(f func(*workload.X509SVID)) *workload.X509SVIDResponse {
		svid := clone(good)
		f(svid)
		return x509Answer(svid)
	}
	leaf := func(f func(*x509.Certificate)) *workload.X509SVIDResponse {
		return x509Answer(issueX509(t, own, testID, "", f))
	}

	for name, tt := range map[string]struct {
		resp *workload.X509SVIDResponse
		want Reason
	}{
		"no SVIDs":                  {x509Answer(), ReasonNoSVIDs},
		"garbage certificate":       {edit(func(s *workload.X509SVID) { s.X509Svid = []byte("garbage") }), ReasonGarbage},
		"no certificate":            {edit(func(s *workload.X509SVID) { s.X509Svid = nil }), ReasonGarbage},
		"truncated certificate":     {edit(func(s *workload.X509SVID) { s.X509Svid = s.X509Svid[:40] }), ReasonGarbage},
		"garbage key":               {edit(func(s *workload.X509SVID) { s.X509SvidKey = []byte("garbage") }), ReasonGarbage},
		"no key":                    {edit(func(s *workload.X509SVID) { s.X509SvidKey = nil }), ReasonGarbage},
		"another leaf's key":        {edit(func(s *workload.X509SVID) { s.X509SvidKey = other.X509SvidKey }), ReasonKeyMismatch},
		"no bundle":                 {edit(func(s *workload.X509SVID) { s.Bundle = nil }), ReasonNoBundle},
		"empty bundle":              {edit(func(s *workload.X509SVID) { s.Bundle = []byte{} }), ReasonNoBundle},
		"garbage bundle":            {edit(func(s *workload.X509SVID) { s.Bundle = []byte("garbage") }), ReasonGarbage},
		"leaf outside the bundle":   {edit(func(s *workload.X509SVID) { s.Bundle = twin.X509Authority().Raw }), ReasonChain},
		"authority expired":         {x509Answer(ofDead), ReasonChain},
		"no SPIFFE ID":              {edit(func(s *workload.X509SVID) { s.SpiffeId = "" }), ReasonGarbage},
		"SPIFFE ID of another":      {edit(func(s *workload.X509SVID) { s.SpiffeId += "/other" }), ReasonIDMismatch},
		"SPIFFE ID of 2,049 bytes":  {edit(func(s *workload.X509SVID) { s.SpiffeId += "/" + strings.Repeat("x", 2048-len(s.SpiffeId)) }), ReasonGarbage},
		"foreign trust domain":      {edit(func(s *workload.X509SVID) { s.SpiffeId = "spiffe://evil.test/web" }), ReasonForeignTrustDomain},
		"hint of 1025 bytes":        {edit(func(s *workload.X509SVID) { s.Hint = strings.Repeat("h", 1025) }), ReasonHint},
		"expired leaf":              {leaf(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }), ReasonExpired},
		"leaf of tomorrow":          {leaf(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }), ReasonNotYetValid},
		"leaf with CA flag":         {leaf(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), ReasonInvalidSVID},
		"leaf without a URI":        {leaf(func(c *x509.Certificate) { c.URIs = nil }), ReasonInvalidSVID},
		"leaf with two URIs":        {leaf(func(c *x509.Certificate) { c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: "b"}) }), ReasonInvalidSVID},
		"leaf for code signing":     {leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), ReasonInvalidSVID},
		"leaf signed by a stranger": {edit(func(s *workload.X509SVID) { s.Bundle = stranger.X509Authority().Raw }), ReasonChain},
	} {
		t.Run(name, func(t *testing.T) {
			prev, err := parseX509(t.Context(), x509Answer(clone(good)), nil, now)
			if err != nil {
				t.Fatalf("the good answer: %v", err)
			}
			for _, prev := range []*x509Part{nil, prev} {
				part, err := parseX509(t.Context(), clone(tt.resp), prev, time.Now())
				wantReason(t, err, tt.want)
				if part == nil {
					continue
				}
				if prev == nil {
					t.Fatal("a part of it was accepted")
				}
				if svid := part.out.SVIDs[0]; len(part.out.SVIDs) != 1 || !svid.Stale || svid.SVID != prev.out.SVIDs[0].SVID {
					t.Errorf("the last good SVID is not what stays: %+v", part.out.SVIDs)
				}
			}
		})
	}
}

// What is wrong with another trust domain's bundle, or with a CRL, is refused
// and does not hold up the SVIDs: the last good one stays, if there is one.
func TestX509RefusedAlone(t *testing.T) {
	own, now := newAuthority(t, "example.org"), time.Now()
	friend, friend2 := newAuthority(t, "friend.test").X509Authority().Raw, newAuthority(t, "friend.test").X509Authority().Raw
	crl := must(own.IssueCRL(1, now, nil))
	answer := func(federated map[string][]byte, crls ...[]byte) *workload.X509SVIDResponse {
		r := x509Answer(issueX509(t, own, testID, ""))
		r.FederatedBundles, r.Crl = federated, crls
		return r
	}
	good := answer(map[string][]byte{"spiffe://friend.test": friend}, crl)
	for name, tt := range map[string]struct {
		resp      *workload.X509SVIDResponse
		want      Reason // empty: nothing is wrong
		fresh     []byte // the federated bundle, if there was none before
		kept      []byte // if there was one
		keptCRLs  int
		freshCRLs int
	}{
		"empty bundle":            {resp: answer(map[string][]byte{"spiffe://friend.test": {}})},
		"garbage bundle":          {resp: answer(map[string][]byte{"spiffe://friend.test": []byte("garbage")}), want: ReasonGarbage, kept: friend},
		"no name":                 {resp: answer(map[string][]byte{"spiffe://friend.test": friend2, "": friend}), want: ReasonGarbage, fresh: friend2, kept: friend2},
		"name with a slash":       {resp: answer(map[string][]byte{"spiffe://friend.test/": friend}), want: ReasonGarbage},
		"name in upper case":      {resp: answer(map[string][]byte{"spiffe://FRIEND.test": friend}), want: ReasonGarbage},
		"no SPIFFE ID but a name": {resp: answer(map[string][]byte{"friend.test": friend2}), fresh: friend2, kept: friend2},
		"one of two":              {resp: answer(map[string][]byte{"spiffe://friend.test": friend2, "spiffe://b.test": []byte("garbage")}), want: ReasonGarbage, fresh: friend2, kept: friend2},
		"one under two names":     {resp: answer(map[string][]byte{"spiffe://friend.test": friend, "friend.test": friend}), fresh: friend, kept: friend},
		"two under two names":     {resp: answer(map[string][]byte{"spiffe://friend.test": friend2, "friend.test": friend}), want: ReasonGarbage, fresh: friend2, kept: friend2},
		"the same authority twice": {
			resp:  answer(map[string][]byte{"spiffe://friend.test": slices.Concat(friend2, friend2)}),
			fresh: friend2, kept: friend2,
		},
		"garbage CRL":           {resp: answer(nil, []byte("garbage")), want: ReasonGarbage, keptCRLs: 1},
		"garbage CRL among two": {resp: answer(nil, crl, []byte("garbage")), want: ReasonGarbage, keptCRLs: 1},
		"another CRL":           {resp: answer(nil, crl, must(own.IssueCRL(2, now, nil))), keptCRLs: 2, freshCRLs: 2},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := parseX509(t.Context(), clone(good), nil, now)
			if err != nil {
				t.Fatal(err)
			}
			for _, prev := range []*x509Part{nil, before} {
				bundle, crls := tt.fresh, tt.freshCRLs
				if prev != nil {
					bundle, crls = tt.kept, tt.keptCRLs
				}
				part, err := parseX509(t.Context(), clone(tt.resp), prev, time.Now())
				if tt.want != "" {
					wantReason(t, err, tt.want)
				} else if err != nil {
					t.Error(err)
				}
				if part == nil || !bytes.Equal(part.set.raw[0].X509Svid, tt.resp.Svids[0].X509Svid) {
					t.Fatal("the SVID was held up")
				}
				var got []byte
				for _, b := range part.out.Federated {
					for _, c := range b.X509Authorities() {
						got = append(got, c.Raw...)
					}
				}
				if !bytes.Equal(got, bundle) {
					t.Errorf("%d federated bundles, not the one wanted", len(part.out.Federated))
				}
				if len(part.out.CRLs) != crls {
					t.Errorf("%d CRLs, want %d", len(part.out.CRLs), crls)
				}
				if again, _ := parseX509(t.Context(), clone(tt.resp), part, time.Now()); again != part {
					t.Error("the same answer again is news")
				}
			}
		})
	}
}

func TestX509LongestHintIsAccepted(t *testing.T) {
	svid := issueX509(t, newAuthority(t, "example.org"), testID, strings.Repeat("h", 1024))
	if _, err := parseX509(t.Context(), x509Answer(svid), nil, time.Now()); err != nil {
		t.Error(err)
	}
}

func TestX509FirstOfTwoEqualHintsWins(t *testing.T) {
	a := newAuthority(t, "example.org")
	id := func(path string) spiffeid.ID { return spiffeid.RequireFromPath(testTD, path) }
	garbage := clone(issueX509(t, a, id("/ignored"), "x"))
	garbage.X509Svid = []byte("nobody looks at this")
	part, err := parseX509(t.Context(), x509Answer(
		issueX509(t, a, id("/one"), "x"), garbage, issueX509(t, a, id("/two"), ""), issueX509(t, a, id("/three"), ""),
	), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range part.out.SVIDs {
		got = append(got, s.ID.Path()+" "+s.Hint)
	}
	if want := "[/one x /two  /three ]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestX509KeepsWhatDidNotChange(t *testing.T) {
	a, now := newAuthority(t, "example.org"), time.Now()
	web, db := issueX509(t, a, testID, "web"), issueX509(t, a, spiffeid.RequireFromString("spiffe://example.org/db"), "db")
	answer := func() *workload.X509SVIDResponse {
		r := x509Answer(clone(web), clone(db))
		r.FederatedBundles = map[string][]byte{
			"spiffe://b.test": newAuthority(t, "b.test").X509Authority().Raw,
			"spiffe://a.test": newAuthority(t, "a.test").X509Authority().Raw,
		}
		r.Crl = [][]byte{must(a.IssueCRL(1, now, nil))}
		return r
	}
	resp := answer()
	first, err := parseX509(t.Context(), clone(resp), nil, now)
	if err != nil {
		t.Fatal(err)
	}
	if first.out.SVIDs[0].Bundle != first.out.SVIDs[1].Bundle {
		t.Error("one bundle, given twice, was parsed twice")
	}
	if got := first.out.Federated[0].TrustDomain().Name(); got != "a.test" {
		t.Errorf("first federated bundle is of %s, want the order of names", got)
	}

	same, err := parseX509(t.Context(), clone(resp), first, now)
	if err != nil || same != first {
		t.Errorf("the same answer again: part %p, error %v; want %p itself", same, err, first)
	}

	renewed := clone(resp)
	renewed.Svids[0] = issueX509(t, a, testID, "web")
	second, err := parseX509(t.Context(), renewed, first, now)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case second == first || second.out.SVIDs[0].SVID == first.out.SVIDs[0].SVID:
		t.Error("the renewed SVID is the old one")
	case second.out.SVIDs[0].Bundle != first.out.SVIDs[0].Bundle:
		t.Error("the bundle of the renewed SVID was parsed again")
	case second.out.SVIDs[1] != first.out.SVIDs[1]:
		t.Error("the SVID that did not change was parsed again")
	case &second.out.Federated[0] != &first.out.Federated[0]:
		t.Error("the federated bundles were parsed or sorted again")
	case second.out.CRLs[0] != first.out.CRLs[0]:
		t.Error("the CRL was parsed again")
	}

	federated := clone(renewed)
	federated.FederatedBundles["spiffe://b.test"] = newAuthority(t, "b.test").X509Authority().Raw
	third, err := parseX509(t.Context(), federated, second, now)
	if err != nil {
		t.Fatal(err)
	}
	if third.out.Federated[0] != second.out.Federated[0] || third.out.Federated[1] == second.out.Federated[1] {
		t.Error("of two federated bundles exactly the second is new")
	}

	delete(federated.FederatedBundles, "spiffe://a.test")
	fourth, err := parseX509(t.Context(), clone(federated), third, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(fourth.out.Federated) != 1 || fourth.out.Federated[0] != third.out.Federated[1] {
		t.Errorf("after one federated bundle is gone: %d are left, want the other one alone", len(fourth.out.Federated))
	}
}

func TestX509SameBytesButExpiredMeanwhile(t *testing.T) {
	svid := issueX509(t, newAuthority(t, "example.org"), testID, "")
	part, err := parseX509(t.Context(), x509Answer(svid), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, err = parseX509(t.Context(), x509Answer(clone(svid)), part, time.Now().Add(2*time.Hour))
	wantReason(t, err, ReasonExpired)
}

// A trust domain's authority rotates: first both are in the bundle, then the new
// one alone.
func TestX509AuthorityRotates(t *testing.T) {
	older, newer, now := newAuthority(t, "example.org"), newAuthority(t, "example.org"), time.Now()
	both := append(older.X509Authority().Raw[:len(older.X509Authority().Raw):len(older.X509Authority().Raw)], newer.X509Authority().Raw...)
	old, fresh := issueX509(t, older, testID, ""), issueX509(t, newer, testID, "")
	step := func(prev *x509Part, svid *workload.X509SVID, bundle []byte, authorities int) *x509Part {
		t.Helper()
		svid = clone(svid)
		svid.Bundle = bundle
		part, err := parseX509(t.Context(), x509Answer(svid), prev, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(part.out.SVIDs[0].Bundle.X509Authorities()); got != authorities {
			t.Errorf("%d authorities, want %d", got, authorities)
		}
		return part
	}
	p := step(nil, old, older.X509Authority().Raw, 1)
	p2 := step(p, old, both, 2)
	if p2.out.SVIDs[0].SVID != p.out.SVIDs[0].SVID {
		t.Error("the SVID was parsed again although only its bundle changed")
	}
	p3 := step(p2, fresh, both, 2)
	step(p3, fresh, newer.X509Authority().Raw, 1)

	stranded := clone(old)
	stranded.Bundle = newer.X509Authority().Raw
	_, err := parseX509(t.Context(), x509Answer(stranded), p3, now)
	wantReason(t, err, ReasonChain)
}

func TestExpiryIsThatOfTheFirstToExpire(t *testing.T) {
	a, soon := newAuthority(t, "example.org"), time.Now().Add(time.Minute).Truncate(time.Second)
	part, err := parseX509(t.Context(), x509Answer(
		issueX509(t, a, testID, ""),
		issueX509(t, a, testID, "", func(c *x509.Certificate) { c.NotAfter = soon }),
		issueX509(t, a, testID, ""),
	), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := part.expiry(); !got.Equal(soon) {
		t.Errorf("expiry %v, want %v", got, soon)
	}
}

// manyFederated returns an answer with n federated bundles.
func manyFederated(t testing.TB, a *devapi.Authority, n int) *workload.X509SVIDResponse {
	r := x509Answer(issueX509(t, a, testID, ""))
	r.FederatedBundles = make(map[string][]byte, n)
	raw := newAuthority(t, "other.test").X509Authority().Raw
	for i := range n {
		r.FederatedBundles[fmt.Sprintf("spiffe://td%04d.test", i)] = raw
	}
	return r
}

// A rotation among 1,000 federated bundles of which none changed.
func BenchmarkX509Rotation(b *testing.B) {
	a := newAuthority(b, "example.org")
	for _, n := range []int{0, 1000} {
		b.Run(fmt.Sprintf("federated=%d", n), func(b *testing.B) {
			before := manyFederated(b, a, n)
			after := clone(before)
			after.Svids[0] = issueX509(b, a, testID, "")
			part, err := parseX509(b.Context(), before, nil, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parseX509(b.Context(), after, part, time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
