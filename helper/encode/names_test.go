package encode

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// hostile are texts of every length from 1 to 2,048 bytes, each ASCII byte alone
// and within a word, and names that an output has or cannot have.
func hostile() []string {
	all := []string{"", ".", "..", "...", "..data", "svid", "svid_key", "svid.pem", "web", "{n}", "{hint}", "a/../b", strings.Repeat("x", 252), strings.Repeat("x", 255)}
	for b := range byte(128) {
		all = append(all, string(rune(b)), "a"+string(rune(b))+"b", string(rune(b))+"a")
	}
	for n := 1; n <= 2048; n++ {
		all = append(all, strings.Repeat("a", n))
	}
	return all
}

// rotates encodes two answers whose first SVID alone differs, and checks that the
// second is on disk, whole, and nothing else in its way.
func rotates(t *testing.T, what string, e *Encoder, first, second *snapshot.Snapshot, certFile string) {
	t.Helper()
	for _, s := range []*snapshot.Snapshot{first, second} {
		set := e.Encode(s, nil)
		if err := writer.CheckNames(set.names()); err != nil {
			t.Fatalf("%.80q: the writer would refuse the whole set: %v", what, err)
		}
		i := slices.IndexFunc(set.Files, func(f writer.File) bool { return f.Name == certFile })
		if i < 0 || !bytes.Equal(set.Files[i].Data, encodeCerts(s.X509.SVIDs[0].Certificates, EncodingPEM)) {
			t.Fatalf("%.80q: our own SVID does not rotate: %q, %v, %.200q", what, set.names(), set.Gaps, set.Skipped)
		}
		said := 0
		for _, skipped := range set.Skipped {
			said += len(skipped)
		}
		if said > (maxSkipped+1)*4*longSkipped {
			t.Fatalf("%.80q: %d bytes say what is skipped", what, said)
		}
	}
}

// TestForeignNames has foreign trust domains with any name, in files of their own:
// our own SVID rotates each time, and no file of ours is theirs.
func TestForeignNames(t *testing.T) {
	a := newAuthority(t, "example.org")
	web, next := a.svid(t, "/web", "web"), a.svid(t, "/web", "web")
	jwts := jwtBundle(t, "example.org", 1)
	o := &Output{
		X509SVIDs: []X509SVID{
			{Cert: FileSpec{Name: "svid.pem"}, Key: FileSpec{Name: "svid_key.pem"}, Bundle: FileSpec{Name: "svid_bundle.pem"},
				Federated: FederatedSeparate, FederatedFile: FileSpec{Name: "{trust_domain}.pem"}},
			{Select: Selector{All: true}, Cert: FileSpec{Name: "{hint}.pem"},
				Federated: FederatedSeparate, FederatedFile: FileSpec{Name: "federated_bundle.{index}.{n}.pem"}},
			{Cert: FileSpec{Name: "{trust_domain}"}, Federated: FederatedSeparate, FederatedFile: FileSpec{Name: "{trust_domain}/{n}"}},
		},
		X509Bundles: []X509Bundle{{File: FileSpec{Name: "{trust_domain}"}}, {File: FileSpec{Name: "b/{trust_domain}.json"}, Format: FormatSPIFFE}},
		JWTBundles:  []JWTBundle{{File: FileSpec{Name: "j-{trust_domain}.pem"}, Format: FormatJWKS}},
	}
	e, tried := NewEncoder(o, unpublished), 0
	for _, name := range hostile() {
		td, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			continue
		}
		tried++
		foreign := []*x509bundle.Bundle{x509bundle.FromX509Authorities(td, a.bundle().X509Authorities())}
		if td.Name() != "a" {
			foreign = append(foreign, x509bundle.FromX509Authorities(spiffeid.RequireTrustDomainFromString("a"), a.bundle().X509Authorities()))
		}
		answer := func(svid *x509svid.SVID) *snapshot.Snapshot {
			return &snapshot.Snapshot{
				X509:        &snapshot.X509{SVIDs: []snapshot.X509SVID{{SVID: svid, Bundle: a.bundle()}}, Federated: foreign},
				X509Bundles: &snapshot.X509Bundles{Bundles: append([]*x509bundle.Bundle{a.bundle()}, foreign...)},
				JWTBundles:  jwtBundles(jwts, jwtbundle.FromJWTAuthorities(td, jwts.JWTAuthorities())),
			}
		}
		for _, file := range []string{"svid.pem", "web.pem", "example.org"} {
			rotates(t, name, e, answer(web), answer(next), file)
		}
	}
	if tried < 2048 {
		t.Errorf("%d trust domains", tried)
	}
}

// TestNamesOfOthers has other SVIDs with any hint, and any SPIFFE ID, in the same
// answer: our own rotates each time.
func TestNamesOfOthers(t *testing.T) {
	a := newAuthority(t, "example.org")
	web, next := a.svid(t, "/web", "web"), a.svid(t, "/web", "web")
	all := func(name string) *Encoder {
		return NewEncoder(&Output{X509SVIDs: []X509SVID{
			{Cert: FileSpec{Name: "svid.pem"}, Key: FileSpec{Name: "svid_key.pem"}},
			{Select: Selector{All: true}, Cert: FileSpec{Name: name + ".pem"}, Key: FileSpec{Name: name + "_key.pem"}, Bundle: FileSpec{Name: name + "/{trust_domain}/ca.pem"}},
		}}, unpublished)
	}
	byHint, byID := all("{hint}"), all("{id}")
	ids := 0
	for _, name := range hostile() {
		hinted := *web
		hinted.Hint = name
		others := []*x509svid.SVID{&hinted}
		for _, text := range []string{"spiffe://" + name, "spiffe://a/" + name, "spiffe://example.org" + name} {
			if id, err := spiffeid.FromString(text); err == nil {
				ids++
				other := *web
				other.ID = id
				others = append(others, &other)
			}
		}
		answer := func(svid *x509svid.SVID) *snapshot.Snapshot {
			x := &snapshot.X509{SVIDs: []snapshot.X509SVID{{SVID: svid, Bundle: a.bundle()}}}
			for _, other := range others {
				x.SVIDs = append(x.SVIDs, snapshot.X509SVID{SVID: other, Bundle: a.bundle()})
			}
			return &snapshot.Snapshot{X509: x}
		}
		for _, file := range []string{"svid.pem", "web.pem"} {
			rotates(t, name, byHint, answer(web), answer(next), file)
		}
		for _, file := range []string{"svid.pem", "example.org+web.pem"} {
			rotates(t, name, byID, answer(web), answer(next), file)
		}
	}
	if ids < 4096 {
		t.Errorf("%d SPIFFE IDs", ids)
	}
}

// TestOwnBundleWithoutName has a bundle that cannot have the name that our own
// trust domain makes: certificate and key rotate without it, and the gap says so.
func TestOwnBundleWithoutName(t *testing.T) {
	a := newAuthority(t, strings.Repeat("x", 252))
	set := encode(t, a.answer(t), x509Output(X509SVID{Cert: FileSpec{Name: "crt"}, Key: FileSpec{Name: "key"}, Bundle: FileSpec{Name: "{trust_domain}.pem"}}))
	if got := set.names(); !slices.Equal(got, []string{"crt", "key"}) {
		t.Errorf("%q", got)
	}
	if len(set.Gaps) != 1 || !strings.Contains(set.Gaps[0].What, "255 is the most") || len(set.Gaps[0].Files) > 0 {
		t.Errorf("%+v", set.Gaps)
	}
}

// TestLiteralNames has the braces of a spiffe-helper file, which mean nothing there.
func TestLiteralNames(t *testing.T) {
	f := FileSpec{Name: "{hint}{n}.pem", Literal: true}
	set := encode(t, newAuthority(t, "example.org").answer(t), x509Output(X509SVID{Cert: f}))
	if got := set.names(); !slices.Equal(got, []string{"{hint}{n}.pem"}) || f.Varies() || !f.Matches(f.Name) || f.Matches("a1.pem") {
		t.Errorf("%q", got)
	}
}

// TestLayoutOfFetchWrite has the names that spire-agent api fetch -write gives.
func TestLayoutOfFetchWrite(t *testing.T) {
	a := newAuthority(t, "example.org")
	s := &snapshot.Snapshot{X509: &snapshot.X509{
		SVIDs: []snapshot.X509SVID{
			{SVID: a.svid(t, "/web", ""), Bundle: a.bundle()}, {SVID: a.svid(t, "/bad", ""), Bundle: a.bundle()}, {SVID: a.svid(t, "/web/2", ""), Bundle: a.bundle()}},
		Federated: foreignBundles(a, 2),
	}}
	o := x509Output(X509SVID{
		Select: Selector{All: true}, Allow: []string{"spiffe://example.org/web/**", "spiffe://example.org/web"},
		Cert: FileSpec{Name: "svid.{index}.pem"}, Key: FileSpec{Name: "svid.{index}.key"}, Bundle: FileSpec{Name: "bundle.{index}.pem"},
		Federated: FederatedSeparate, FederatedFile: FileSpec{Name: "federated_bundle.{index}.{n}.pem"},
	})
	e := NewEncoder(o, unpublished)
	for range 2 { // by what it remembers, too
		set := e.Encode(s, nil)
		want := []string{"svid.0.pem", "svid.0.key", "bundle.0.pem", "svid.2.pem", "svid.2.key", "bundle.2.pem",
			"federated_bundle.0.0.pem", "federated_bundle.0.1.pem", "federated_bundle.2.0.pem", "federated_bundle.2.1.pem"}
		if got := set.names(); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	}
}

// TestTooManyFederatedFiles bounds SVIDs times foreign bundles.
func TestTooManyFederatedFiles(t *testing.T) {
	a := newAuthority(t, "example.org")
	x := &snapshot.X509{Federated: foreignBundles(a, 1000)}
	svid := a.svid(t, "/web", "")
	for range 10 {
		x.SVIDs = append(x.SVIDs, snapshot.X509SVID{SVID: svid, Bundle: a.bundle()})
	}
	o := x509Output(X509SVID{Select: Selector{All: true}, Cert: FileSpec{Name: "{index}"}, Federated: FederatedSeparate, FederatedFile: FileSpec{Name: "{index}.{n}"}})
	if set := NewEncoder(o, unpublished).Encode(&snapshot.Snapshot{X509: x}, nil); len(set.Files) != 10+maxFederated || len(set.Skipped) != maxSkipped+1 {
		t.Errorf("%d files, %d skipped", len(set.Files), len(set.Skipped))
	}
}

// TestTokensByName has tokens named by what they say.
func TestTokensByName(t *testing.T) {
	id := spiffeid.RequireFromString("spiffe://example.org/web")
	o := &Output{
		JWTSVIDs: []JWTSVID{{Audience: []string{"vault"}, File: FileSpec{Name: "{trust_domain}/{hint}/{id}.jwt"}}},
		WITSVIDs: []WITSVID{{Token: FileSpec{Name: "{hint}.{index}.wit"}, Key: FileSpec{Name: "{id}.jwk"}}},
	}
	s := &snapshot.Snapshot{
		JWTSVIDs: map[snapshot.JWTRequest]*snapshot.JWTSVID{o.JWTSVIDs[0].Request(): jwtSVID(t, id, "main", "vault")},
		WIT:      &snapshot.WIT{SVIDs: []*snapshot.WITSVID{witSVID(t, id, "main")}},
	}
	set := encode(t, s, o)
	if got, want := fmt.Sprint(set.names()), "[example.org/main/example.org+web.jwt main.0.wit example.org+web.jwk]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, name := range set.names()[:1] {
		if sel, ok := o.SelectionOf(name); !ok || sel.Block != BlockJWTSVID {
			t.Errorf("%s is %v's", name, sel)
		}
	}
}
