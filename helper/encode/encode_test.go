package encode

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
	"software.sslmate.com/src/go-pkcs12"
)

// A usedFile is a file and what it is for.
type usedFile struct {
	writer.File
	Use
}

// file returns the file of a name, which must be there.
func (s Set) file(t testing.TB, name string) usedFile {
	t.Helper()
	i := slices.IndexFunc(s.Files, func(f writer.File) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no file %q", name)
	}
	return usedFile{s.Files[i], s.Uses[i]}
}

func (s Set) names() (names []string) {
	for _, f := range s.Files {
		names = append(names, f.Name)
	}
	return names
}

// blocks parses PEM: the label and the bytes of each block, and nothing else.
func blocks(t testing.TB, data []byte) (labels []string, ders [][]byte) {
	t.Helper()
	for len(data) > 0 {
		block, rest := pem.Decode(data)
		if block == nil {
			t.Fatalf("not PEM: %.100q", data)
		}
		labels, ders, data = append(labels, block.Type), append(ders, block.Bytes), rest
	}
	return labels, ders
}

func certs(t testing.TB, data []byte) []*x509.Certificate {
	t.Helper()
	labels, ders := blocks(t, data)
	var all []*x509.Certificate
	for i, der := range ders {
		if labels[i] != "CERTIFICATE" {
			t.Fatalf("block %d is a %s", i, labels[i])
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func sameCerts(a, b []*x509.Certificate) bool {
	return slices.EqualFunc(a, b, (*x509.Certificate).Equal)
}

type privateKey interface{ Equal(crypto.PrivateKey) bool }

func sameKey(a, b any) bool { return a.(privateKey).Equal(b) }

func x509Output(x X509SVID) *Output { return &Output{X509SVIDs: []X509SVID{x}} }

func TestEncodeX509(t *testing.T) {
	a, b, c := newAuthority(t, "example.org"), newAuthority(t, "b.example"), newAuthority(t, "a.example")
	s := a.answer(t, c.bundle(), b.bundle())
	svid := s.X509.SVIDs[0]
	o := x509Output(X509SVID{
		Cert: FileSpec{Name: "crt"}, Key: FileSpec{Name: "key", Mode: 0o640, Group: "nginx"}, Bundle: FileSpec{Name: "ca"},
		Combined: FileSpec{Name: "both"}, CRL: FileSpec{Name: "crl"},
	})
	o.FileMode, o.KeyMode = 0o444, 0o400
	set := encode(t, s, o)
	if got := set.names(); !slices.Equal(got, []string{"crt", "key", "ca", "both"}) { // no CRL, no file
		t.Errorf("files %q", got)
	}
	crt, key, both := set.file(t, "crt"), set.file(t, "key"), set.file(t, "both")
	if !sameCerts(certs(t, crt.Data), svid.Certificates) {
		t.Error("the chain is another one")
	}
	labels, ders := blocks(t, key.Data)
	parsed, err := x509.ParsePKCS8PrivateKey(ders[0])
	if err != nil || len(labels) != 1 || labels[0] != "PRIVATE KEY" || !sameKey(svid.PrivateKey, parsed) {
		t.Errorf("the key is another one: %q, %v", labels, err)
	}
	if !bytes.Equal(both.Data, append(slices.Clone(key.Data), crt.Data...)) {
		t.Error("combined is not key, then chain")
	}
	if !sameCerts(certs(t, set.file(t, "ca").Data), []*x509.Certificate{a.cert}) {
		t.Error("the bundle is another one")
	}
	for name, want := range map[string]usedFile{
		"crt":  {writer.File{Mode: 0o444}, Use{Kind: snapshot.KindX509}},
		"key":  {writer.File{Mode: 0o640, Group: "nginx"}, Use{snapshot.KindX509, true}},
		"ca":   {writer.File{Mode: 0o444}, Use{Kind: snapshot.KindBundle}},
		"both": {writer.File{Mode: 0o400}, Use{snapshot.KindX509, true}},
	} {
		got := set.file(t, name)
		got.Name, got.Data = "", nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(name, diff)
		}
	}
	id := set.Identities[0]
	if id.ID != svid.ID || !id.NotAfter.Equal(svid.Certificates[0].NotAfter) || id.Serial != snapshot.Serial(svid.Certificates[0].SerialNumber) || len(id.Files) != 4 {
		t.Errorf("%+v", id)
	}

	s.X509.CRLs = []*x509.RevocationList{a.crl(t), b.crl(t)}
	labels, ders = blocks(t, encode(t, s, o).file(t, "crl").Data)
	if !slices.Equal(labels, []string{"X509 CRL", "X509 CRL"}) || !bytes.Equal(ders[1], s.X509.CRLs[1].Raw) {
		t.Errorf("CRLs: %q", labels)
	}

	o.X509SVIDs[0].Federated = FederatedMerge
	if got := certs(t, encode(t, s, o).file(t, "ca").Data); !sameCerts(got, []*x509.Certificate{a.cert, c.cert, b.cert}) {
		t.Error("merged bundles are not in the order of trust domains")
	}
	foreign := s.X509.Federated
	s.X509.Federated = append(slices.Clone(foreign), svid.Bundle)
	if got := certs(t, encode(t, s, o).file(t, "ca").Data); !sameCerts(got, []*x509.Certificate{a.cert, c.cert, b.cert}) {
		t.Error("an own bundle that is listed among the federated ones is there twice")
	}
	s.X509.Federated = foreign
	o.X509SVIDs[0].IntermediatesInBundle = true
	set = encode(t, s, o)
	if got := certs(t, set.file(t, "crt").Data); !sameCerts(got, svid.Certificates[:1]) {
		t.Error("the intermediate is still in the chain")
	}
	if got := certs(t, set.file(t, "ca").Data); !sameCerts(got, []*x509.Certificate{a.cert, svid.Certificates[1], c.cert, b.cert}) {
		t.Error("the intermediate does not follow its own authority")
	}

	o.X509SVIDs[0].Federated, o.X509SVIDs[0].FederatedFile.Name = FederatedSeparate, "fed/{trust_domain}.pem"
	set = encode(t, s, o)
	if got := certs(t, set.file(t, "fed/a.example.pem").Data); !sameCerts(got, []*x509.Certificate{c.cert}) {
		t.Error("a separate bundle is another one")
	}
	if got := set.names(); len(got) != 7 {
		t.Errorf("files %q", got)
	}
}

func TestEncodeKeys(t *testing.T) {
	a := newAuthority(t, "example.org")
	for _, key := range []crypto.Signer{newKey(t), newRSAKey(t)} {
		svid := a.svidWithKey(t, "/web", "", key)
		s := &snapshot.Snapshot{X509: &snapshot.X509{SVIDs: []snapshot.X509SVID{{SVID: svid, Bundle: a.bundle()}}}}
		o := x509Output(X509SVID{Key: FileSpec{Name: "key"}, KeyEncoding: KeyTraditional})
		labels, ders := blocks(t, encode(t, s, o).Files[0].Data)
		var parsed any
		var err error
		switch labels[0] {
		case "EC PRIVATE KEY":
			parsed, err = x509.ParseECPrivateKey(ders[0])
		case "RSA PRIVATE KEY":
			parsed, err = x509.ParsePKCS1PrivateKey(ders[0])
		}
		if err != nil || parsed == nil || !sameKey(key, parsed) {
			t.Errorf("%T: %q, %v", key, labels, err)
		}
	}
}

func TestOmitExpired(t *testing.T) {
	a, gone := newAuthority(t, "example.org"), newAuthority(t, "gone.example")
	past := *gone.cert
	past.NotAfter = time.Now().Add(-time.Minute) // what is encoded are the raw bytes
	s := a.answer(t, x509bundle.FromX509Authorities(gone.td, []*x509.Certificate{&past}))
	svid := s.X509.SVIDs[0].SVID
	old := *svid.Certificates[1]
	old.NotAfter = time.Now().Add(-time.Minute)
	svid.Certificates[1] = &old
	soon := *a.cert
	soon.NotAfter = time.Now().Add(time.Minute)
	s.X509.SVIDs[0].Bundle = x509bundle.FromX509Authorities(a.td, []*x509.Certificate{a.cert, &soon})

	o := x509Output(X509SVID{Cert: FileSpec{Name: "crt"}, Bundle: FileSpec{Name: "ca"}, Federated: FederatedMerge, OmitExpired: true})
	e := NewEncoder(o, unpublished)
	set, err := tryEncode(e, s)
	must(t, err)
	if n := len(certs(t, set.file(t, "ca").Data)); n != 2 {
		t.Errorf("%d authorities, want the two that have not expired", n)
	}
	if n := len(certs(t, set.file(t, "crt").Data)); n != 2 {
		t.Errorf("%d certificates in the chain, which is never cut", n)
	}
	// What expires later goes later, though nothing else has changed.
	e.now = func() time.Time { return time.Now().Add(2 * time.Minute) }
	set, err = tryEncode(e, s)
	must(t, err)
	if n := len(certs(t, set.file(t, "ca").Data)); n != 1 {
		t.Errorf("%d authorities after one more has expired", n)
	}
	o.X509SVIDs[0].IntermediatesInBundle = true
	if n := len(certs(t, encode(t, s, o).file(t, "ca").Data)); n != 2 {
		t.Errorf("%d certificates: an expired intermediate in the bundle is left out too", n)
	}
	e.now = func() time.Time { return time.Now().Add(1000 * time.Hour) }
	if _, err := tryEncode(e, s); err == nil {
		t.Error("an empty bundle")
	}
}

func TestSelection(t *testing.T) {
	a := newAuthority(t, "example.org")
	s := &snapshot.Snapshot{X509: &snapshot.X509{SVIDs: []snapshot.X509SVID{
		{SVID: a.svid(t, "/web", "external"), Bundle: a.bundle()},
		{SVID: a.svid(t, "/db/main", "internal"), Bundle: a.bundle()},
		{SVID: a.svid(t, "/db/main", ""), Bundle: a.bundle()},
		{SVID: a.svid(t, "/other", "internal"), Bundle: a.bundle()},
	}}}
	id := spiffeid.RequireFromString
	for _, c := range []struct {
		name     string
		selector Selector
		allow    []string
		file     string
		want     []string // names, or
		serial   int      // of the SVID picked
		err      string
	}{
		{name: "default", file: "crt", want: []string{"crt"}, serial: 0},
		{name: "hint", selector: Selector{Hint: "internal"}, file: "crt", want: []string{"crt"}, serial: 1},
		{name: "ID", selector: Selector{ID: id("spiffe://example.org/other")}, file: "crt", want: []string{"crt"}, serial: 3},
		{name: "both", selector: Selector{Hint: "internal", ID: id("spiffe://example.org/other")}, file: "crt", want: []string{"crt"}, serial: 3},
		{name: "no such hint", selector: Selector{Hint: "x"}, file: "crt",
			err: `no X.509-SVID with hint "x": the Workload API gave spiffe://example.org/web with hint "external", spiffe://example.org/db/main with hint "internal", spiffe://example.org/db/main without hint`},
		{name: "no such ID", selector: Selector{ID: id("spiffe://example.org/x")}, file: "crt", err: "no X.509-SVID with SPIFFE ID spiffe://example.org/x"},
		{name: "all by index", selector: Selector{All: true}, file: "{index}.crt", want: []string{"0.crt", "1.crt", "2.crt", "3.crt"}},
		{name: "all by ID", selector: Selector{All: true}, file: "{id}-{index}", want: []string{
			"example.org+web-0", "example.org+db+main-1", "example.org+db+main-2", "example.org+other-3"}},
		{name: "all by ID, twice the same", selector: Selector{All: true}, file: "{id}", err: "cannot both be in one directory"},
		{name: "all by hint, one without", selector: Selector{All: true}, file: "{hint}.crt", err: "it has no hint"},
		{name: "allowed", allow: []string{"spiffe://example.org/w*"}, file: "crt", want: []string{"crt"}},
		{name: "not allowed", allow: []string{"spiffe://example.org/db/**", "spiffe://x/web"}, file: "crt",
			err: "SPIFFE ID spiffe://example.org/web is not allowed: it matches none of spiffe://example.org/db/**, spiffe://x/web"},
		{name: "names from the answer without all", selector: Selector{Hint: "external"}, file: "{hint}/{trust_domain}/{id}.{index}", want: []string{"external/example.org/example.org+web.0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := tryEncode(NewEncoder(x509Output(X509SVID{Select: c.selector, Allow: c.allow, Cert: FileSpec{Name: c.file}}), unpublished), s)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			must(t, err)
			if got := set.names(); !slices.Equal(got, c.want) {
				t.Errorf("files %q", got)
			}
			if !sameCerts(certs(t, set.Files[0].Data), s.X509.SVIDs[c.serial].Certificates) {
				t.Error("another SVID")
			}
		})
	}
}

// TestHostileHints has the Workload API give hints that are no part of a file
// name.
func TestHostileHints(t *testing.T) {
	a := newAuthority(t, "example.org")
	for _, hint := range []string{"", "..", "../../etc/cron.d/x", "..data", "/etc/passwd", "a/b", "a\x00b", strings.Repeat("x", 65), "ä", "a b", "."} {
		s := &snapshot.Snapshot{X509: &snapshot.X509{SVIDs: []snapshot.X509SVID{{SVID: a.svid(t, "/web", hint), Bundle: a.bundle()}}}}
		set, err := tryEncode(NewEncoder(x509Output(X509SVID{Select: Selector{All: true}, Cert: FileSpec{Name: "{hint}"}}), unpublished), s)
		if err == nil {
			t.Errorf("hint %q became the name %q", hint, set.names())
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		valid   bool
		matches []string
		not     []string
	}{
		{"spiffe://example.org/web", true, []string{"spiffe://example.org/web"}, []string{"spiffe://example.org/web2", "spiffe://example.org", "spiffe://example.org/web/x"}},
		{"spiffe://example.org/*", true, []string{"spiffe://example.org/a"}, []string{"spiffe://example.org/a/b", "spiffe://example.org"}},
		{"spiffe://example.org/**", true, []string{"spiffe://example.org/a", "spiffe://example.org/a/b"}, []string{"spiffe://example.org", "spiffe://example.org.evil/a"}},
		{"spiffe://*/ns/*/sa/web-*", true, []string{"spiffe://x/ns/y/sa/web-1"}, []string{"spiffe://x/ns/y/z/sa/web-1", "spiffe://x/ns/y/sa/api"}},
		{"spiffe://*.example.org/a*b*c", true, []string{"spiffe://x.example.org/abc", "spiffe://x.example.org/axxbxxc"}, []string{"spiffe://example.org/abc", "spiffe://x.example.org/ab"}},
		{"spiffe://example.org", true, []string{"spiffe://example.org"}, []string{"spiffe://example.org/a"}},
		{"example.org/web", false, nil, nil},
		{"spiffe://example.org/**/x", false, nil, nil},
		{"spiffe://example.org/a**", false, nil, nil},
		{"spiffe://example.org//x", false, nil, nil},
		{"spiffe://", false, nil, nil},
		{"spiffe://EXAMPLE.org/x", false, nil, nil},
		{"spiffe://**/x", false, nil, nil},
	} {
		if err := CheckPattern(c.pattern); (err == nil) != c.valid {
			t.Errorf("%s: %v", c.pattern, err)
		}
		for _, id := range c.matches {
			if !matchID(c.pattern, spiffeid.RequireFromString(id)) {
				t.Errorf("%s does not match %s", c.pattern, id)
			}
		}
		for _, id := range c.not {
			if matchID(c.pattern, spiffeid.RequireFromString(id)) {
				t.Errorf("%s matches %s", c.pattern, id)
			}
		}
	}
}

func TestEncodeJWT(t *testing.T) {
	id := spiffeid.RequireFromString("spiffe://example.org/web")
	o := &Output{JWTSVIDs: []JWTSVID{{Audience: []string{"vault", "db"}, File: FileSpec{Name: "vault.jwt"}}}}
	set := encode(t, &snapshot.Snapshot{}, o)
	if what, keeps := awaited(set); !slices.Equal(what, []string{"JWT-SVID for vault,db"}) || !slices.Equal(keeps, []string{"vault.jwt"}) || len(set.Files) > 0 {
		t.Errorf("%+v", set)
	}
	svid := jwtSVID(t, id, "main", "vault", "db")
	set = encode(t, &snapshot.Snapshot{JWTSVIDs: map[snapshot.JWTRequest]*snapshot.JWTSVID{o.JWTSVIDs[0].Request(): svid}}, o)
	f := set.file(t, "vault.jwt")
	if string(f.Data) != svid.Token || !f.Private || f.Mode != 0o600 || f.Kind != snapshot.KindJWT || len(set.Gaps) > 0 {
		t.Errorf("%+v", f)
	}
	if i := set.Identities[0]; i.ID != id || i.Hint != "main" || i.Serial == "" || !i.NotAfter.Equal(svid.Expiry) {
		t.Errorf("%+v", i)
	}
}

func TestEncodeJWTBundles(t *testing.T) {
	one, two := jwtBundle(t, "a.example", 3), jwtBundle(t, "b.example", 5)
	s := &snapshot.Snapshot{JWTBundles: jwtBundles(one, two)}
	data := func(j JWTBundle) []byte {
		t.Helper()
		j.File.Name = "jwt.json"
		return encode(t, s, &Output{JWTBundles: []JWTBundle{j}}).file(t, "jwt.json").Data
	}
	var byDomain map[string]string
	must(t, json.Unmarshal(data(JWTBundle{}), &byDomain))
	for _, b := range s.JWTBundles.Bundles {
		jwks, err := base64.StdEncoding.DecodeString(byDomain[b.TrustDomain().Name()])
		must(t, err)
		got, err := jwtbundle.Parse(b.TrustDomain(), jwks)
		must(t, err)
		if !got.Equal(b) {
			t.Errorf("the bundle of %s is another one", b.TrustDomain())
		}
	}
	var jwks jose.JSONWebKeySet
	must(t, json.Unmarshal(data(JWTBundle{Format: FormatJWKS}), &jwks))
	if len(jwks.Keys) != 8 || jwks.Keys[0].KeyID != "key-0" || jwks.Keys[3].KeyID != "key-0" {
		t.Errorf("%d keys", len(jwks.Keys))
	}
	spiffe, err := spiffebundle.Parse(two.TrustDomain(), data(JWTBundle{Format: FormatSPIFFE, TrustDomains: []spiffeid.TrustDomain{two.TrustDomain()}}))
	must(t, err)
	if !spiffe.JWTBundle().Equal(two) || len(spiffe.X509Authorities()) > 0 {
		t.Error("the SPIFFE bundle is another one")
	}
	for range 20 { // maps have no order
		if !bytes.Equal(data(JWTBundle{}), data(JWTBundle{})) {
			t.Fatal("the same bundles gave other bytes")
		}
	}
	if _, err := tryEncode(NewEncoder(&Output{JWTBundles: []JWTBundle{{File: FileSpec{Name: "x"}, Format: FormatSPIFFE}}}, unpublished), s); err == nil {
		t.Error("two trust domains in a SPIFFE bundle")
	}
	if _, err := tryEncode(NewEncoder(&Output{JWTBundles: []JWTBundle{{File: FileSpec{Name: "x"}, Format: FormatPEM}}}, unpublished), s); err == nil {
		t.Error("a JWT bundle in PEM")
	}
	// A trust domain that is not there any more is not trusted any more.
	set := encode(t, s, &Output{JWTBundles: []JWTBundle{{File: FileSpec{Name: "x"}, TrustDomains: []spiffeid.TrustDomain{td("c.example")}}}})
	if what, keeps := awaited(set); len(set.Files)+len(keeps) > 0 || !slices.Equal(what, []string{"JWT bundle of c.example"}) {
		t.Errorf("%+v", set)
	}
}

func TestEncodeX509Bundles(t *testing.T) {
	a, b := newAuthority(t, "a.example"), newAuthority(t, "b.example")
	s := &snapshot.Snapshot{X509Bundles: &snapshot.X509Bundles{Bundles: []*x509bundle.Bundle{a.bundle(), b.bundle()}}}
	data := func(x X509Bundle) []byte {
		t.Helper()
		x.File.Name = "ca"
		return encode(t, s, &Output{X509Bundles: []X509Bundle{x}}).file(t, "ca").Data
	}
	if got := certs(t, data(X509Bundle{})); !sameCerts(got, []*x509.Certificate{a.cert, b.cert}) {
		t.Error("the bundle is another one")
	}
	only := []spiffeid.TrustDomain{b.td}
	if got := certs(t, data(X509Bundle{TrustDomains: only, Format: FormatPEM})); !sameCerts(got, []*x509.Certificate{b.cert}) {
		t.Error("the bundle is another one")
	}
	spiffe, err := spiffebundle.Parse(b.td, data(X509Bundle{TrustDomains: only, Format: FormatSPIFFE}))
	must(t, err)
	if !sameCerts(spiffe.X509Authorities(), []*x509.Certificate{b.cert}) {
		t.Error("the SPIFFE bundle is another one")
	}
	set := encode(t, &snapshot.Snapshot{X509Bundles: &snapshot.X509Bundles{}}, &Output{X509Bundles: []X509Bundle{{File: FileSpec{Name: "ca"}}}})
	if len(set.Files) > 0 || len(set.Gaps) != 1 {
		t.Errorf("no bundle at all: %+v", set)
	}
}

func TestEncodeWIT(t *testing.T) {
	id := spiffeid.RequireFromString("spiffe://example.org/web")
	svid := witSVID(t, id, "main")
	s := &snapshot.Snapshot{
		WIT:        &snapshot.WIT{SVIDs: []*svidWIT{witSVID(t, id, "x"), svid}},
		WITBundles: &snapshot.WITBundles{Bundles: []*witbundle.Bundle{witBundle(t, "example.org", 3)}},
	}
	o := &Output{
		WITSVIDs:   []WITSVID{{Select: Selector{Hint: "main"}, Token: FileSpec{Name: "wit"}, Key: FileSpec{Name: "wit.jwk"}}},
		WITBundles: []WITBundle{{File: FileSpec{Name: "map"}}, {File: FileSpec{Name: "jwks"}, Format: FormatJWKS}},
	}
	set := encode(t, s, o)
	if f := set.file(t, "wit"); string(f.Data) != svid.Token || !f.Private {
		t.Error("the token is another one")
	}
	f := set.file(t, "wit.jwk")
	var jwk jose.JSONWebKey
	must(t, json.Unmarshal(f.Data, &jwk))
	if !sameKey(svid.PrivateKey, jwk.Key) || jwk.KeyID != "bound" || jwk.Algorithm != "ES256" || !f.Private || f.Mode != 0o600 {
		t.Errorf("the key is another one: %v %v", jwk.KeyID, jwk.Algorithm)
	}
	got, err := witbundle.Parse(td("example.org"), set.file(t, "jwks").Data)
	must(t, err)
	if !got.Equal(s.WITBundles.Bundles[0]) {
		t.Error("the bundle is another one")
	}
	set = encode(t, &snapshot.Snapshot{}, o)
	if what, keeps := awaited(set); len(what) != 3 || len(keeps) != 4 {
		t.Errorf("%+v", set)
	}
}

func TestKeystores(t *testing.T) {
	a := newAuthority(t, "example.org")
	for _, key := range []crypto.Signer{newKey(t), newRSAKey(t)} {
		svid := a.svidWithKey(t, "/web", "", key)
		s := &snapshot.Snapshot{X509: &snapshot.X509{SVIDs: []snapshot.X509SVID{{SVID: svid, Bundle: a.bundle()}}}}
		secret := filepath.Join(t.TempDir(), "password")
		must(t, os.WriteFile(secret, []byte("päss wörd\n"), 0o600))
		o := x509Output(X509SVID{
			PKCS12: &Keystore{File: FileSpec{Name: "p12"}, Secret: Secret{Password: "changeit"}, Alias: "my key"},
			JKS:    &Keystore{File: FileSpec{Name: "jks"}, Secret: Secret{"wrong", secret}},
		})
		set := encode(t, s, o)
		for _, f := range set.Uses {
			if !f.Private || f.Kind != snapshot.KindX509|snapshot.KindBundle {
				t.Errorf("%+v", f)
			}
		}
		if again := encode(t, s, o); !reflect.DeepEqual(again, set) {
			t.Error("the same snapshot gave other bytes")
		}
		gotKey, leaf, rest, err := pkcs12.DecodeChain(set.file(t, "p12").Data, "changeit")
		must(t, err)
		if !sameKey(key, gotKey) || !sameCerts(append([]*x509.Certificate{leaf}, rest...), append(slices.Clone(svid.Certificates), a.cert)) {
			t.Error("the PKCS#12 keystore holds something else")
		}
		if _, _, _, err := pkcs12.DecodeChain(set.file(t, "p12").Data, "wrong"); err == nil {
			t.Error("any password opens it")
		}

		store := keystore.New()
		latin1 := []byte("p\xe4ss w\xf6rd") // which the library makes Java's characters of
		must(t, store.Load(bytes.NewReader(set.file(t, "jks").Data), latin1))
		entry, err := store.GetPrivateKeyEntry("spiffe://example.org/web", latin1)
		must(t, err)
		jksKey, err := x509.ParsePKCS8PrivateKey(entry.PrivateKey)
		must(t, err)
		if !sameKey(key, jksKey) || len(entry.CertificateChain) != 2 || !bytes.Equal(entry.CertificateChain[0].Content, svid.Certificates[0].Raw) {
			t.Error("the JKS keystore holds something else")
		}
		authority, err := store.GetTrustedCertificateEntry("example.org-0")
		must(t, err)
		if !bytes.Equal(authority.Certificate.Content, a.cert.Raw) {
			t.Error("the JKS keystore trusts another authority")
		}

		must(t, os.Remove(secret))
		if _, err := tryEncode(NewEncoder(o, unpublished), s); err == nil || !strings.Contains(err.Error(), secret) {
			t.Errorf("without its password: %v", err)
		}
	}
}

func TestManifest(t *testing.T) {
	s := newAuthority(t, "example.org").answer(t)
	o := trio()
	o.Manifest.Name = "manifest.json"
	set := encode(t, s, o)
	f := set.file(t, "manifest.json")
	if f.Private || f.Kind != snapshot.KindNone {
		t.Errorf("%+v", f)
	}
	var m struct {
		Identities []struct {
			Kind, Serial string
			SPIFFEID     string    `json:"spiffe_id"`
			NotBefore    time.Time `json:"not_before"`
			NotAfter     time.Time `json:"not_after"`
			Files        []string
		}
		Files []struct {
			Name, Mode string
			Kinds      []string
			Private    bool
		}
	}
	must(t, json.Unmarshal(f.Data, &m))
	leaf := s.X509.SVIDs[0].Certificates[0]
	if i := m.Identities[0]; i.Kind != "x509" || i.SPIFFEID != "spiffe://example.org/web" || !i.NotAfter.Equal(leaf.NotAfter) || !i.NotBefore.Equal(leaf.NotBefore) || len(i.Files) != 3 || i.Serial != snapshot.Serial(leaf.SerialNumber) {
		t.Errorf("%+v", i)
	}
	if len(m.Files) != 3 || m.Files[1].Name != "tls.key" || m.Files[1].Mode != "0600" || !m.Files[1].Private {
		t.Errorf("%+v", m.Files)
	}
}

// TestEncoderRemembers encodes two snapshots that share almost everything: what
// they share is the very same memory, so that a publish need not look at it.
func TestEncoderRemembers(t *testing.T) {
	a := newAuthority(t, "example.org")
	var foreign []*x509bundle.Bundle
	for _, name := range []string{"a.example", "b.example", "c.example"} {
		foreign = append(foreign, newAuthority(t, name).bundle())
	}
	first := a.answer(t, foreign...)
	first.JWTBundles = jwtBundles(jwtBundle(t, "example.org", 2))
	second := a.answer(t, foreign[0], newAuthority(t, "b.example").bundle(), foreign[2])
	second.X509.SVIDs[0].Bundle = first.X509.SVIDs[0].Bundle
	second.JWTBundles = first.JWTBundles
	o := x509Output(X509SVID{
		Cert: FileSpec{Name: "crt"}, Key: FileSpec{Name: "key"}, Bundle: FileSpec{Name: "ca"},
		Federated: FederatedSeparate, FederatedFile: FileSpec{Name: "fed/{trust_domain}.pem"},
	})
	o.JWTBundles = []JWTBundle{{File: FileSpec{Name: "jwt"}}}
	e := NewEncoder(o, unpublished)
	one, err := tryEncode(e, first)
	must(t, err)
	two, err := tryEncode(e, second)
	must(t, err)
	for i, f := range two.Files {
		shared := &f.Data[0] == &one.Files[i].Data[0]
		changed := f.Name == "crt" || f.Name == "key" || f.Name == "fed/b.example.pem"
		if shared == changed {
			t.Errorf("%s: shared %v", f.Name, shared)
		}
	}
	if pure := encode(t, second, o); !reflect.DeepEqual(pure, two) {
		t.Error("memory makes a difference")
	}
	// An error forgets nothing and breaks nothing.
	if _, err := tryEncode(e, &snapshot.Snapshot{X509: &snapshot.X509{SVIDs: nil}}); err == nil {
		t.Error("no SVID at all")
	}
	three, err := tryEncode(e, second)
	must(t, err)
	if !reflect.DeepEqual(three, two) {
		t.Error("an error made a difference")
	}
}

// TestKinds: what changed is told by the set, what went by the output.
func TestKinds(t *testing.T) {
	o := x509Output(X509SVID{
		Cert: FileSpec{Name: "crt"}, Key: FileSpec{Name: "key"}, Bundle: FileSpec{Name: "ca"},
		Federated: FederatedSeparate, FederatedFile: FileSpec{Name: "fed/{trust_domain}.pem"},
	})
	o.JWTSVIDs = []JWTSVID{{File: FileSpec{Name: "jwt"}}}
	set := encode(t, newAuthority(t, "example.org").answer(t), o)
	for _, c := range []struct {
		change           writer.Change
		changed, removed snapshot.Kind
	}{
		{writer.Change{Changed: []string{"ca"}}, snapshot.KindBundle, 0},
		{writer.Change{Changed: []string{"crt", "key"}, Removed: []string{"fed/a.example.pem"}}, snapshot.KindX509, snapshot.KindBundle},
		{writer.Change{Removed: []string{"jwt", "of an earlier configuration"}}, 0, snapshot.KindJWT},
	} {
		if changed, removed := set.Kinds(c.change, o); changed != c.changed || removed != c.removed {
			t.Errorf("%+v: %v changed, %v removed", c.change, changed, removed)
		}
	}
}

// TestKeyForEverybody has a key mode that lets every user read: a warning says so.
func TestKeyForEverybody(t *testing.T) {
	o := trio()
	if w := WarningsHere(o); len(w) != 0 {
		t.Errorf("%q", w)
	}
	o.X509SVIDs[0].Key.Mode = 0o644
	if w := WarningsHere(o); len(w) != 1 || !strings.Contains(w[0], "tls.key") {
		t.Errorf("%q", w)
	}
}

// TestMergedTrustDomains: a file that mixes trust domains is a warning with what to
// write instead, and what it says to write is none.
func TestMergedTrustDomains(t *testing.T) {
	one, two := []spiffeid.TrustDomain{td("a.example")}, []spiffeid.TrustDomain{td("a.example"), td("b.example")}
	f, each := FileSpec{Name: "ca"}, FileSpec{Name: "{trust_domain}"}
	for _, c := range []struct {
		o    Output
		want string // empty: no warning
	}{
		{Output{X509SVIDs: []X509SVID{{Bundle: f, Federated: FederatedMerge}}}, `federated_bundles = "separate"`},
		{Output{X509SVIDs: []X509SVID{{Bundle: f, JKS: &Keystore{File: FileSpec{Name: "jks"}}, Federated: FederatedMerge}}}, `federated_bundles = "separate"`}, // the keystore has ours alone
		{Output{X509SVIDs: []X509SVID{{Bundle: f, Federated: FederatedSeparate, FederatedFile: each}}}, ""},
		{Output{X509SVIDs: []X509SVID{{Bundle: f}}}, ""},
		{Output{X509Bundles: []X509Bundle{{File: f}}}, "trust_domains"},
		{Output{X509Bundles: []X509Bundle{{File: f, TrustDomains: two, Format: FormatPEM}}}, `format = "spiffe"`},
		{Output{X509Bundles: []X509Bundle{{File: f, TrustDomains: one}, {File: each}}}, ""},
		{Output{JWTBundles: []JWTBundle{{File: f, Format: FormatJWKS}}}, "{trust_domain}"},
		{Output{JWTBundles: []JWTBundle{{File: f}, {File: f, Format: FormatJWKS, TrustDomains: one}, {File: each, Format: FormatJWKS}}}, ""},
		{Output{WITBundles: []WITBundle{{File: f, Format: FormatJWKS}}}, "trust_domains"},
	} {
		c.o.Dir = "/run/tls"
		w := Warnings(&c.o)
		if c.want == "" && len(w) > 0 || c.want != "" && (len(w) != 1 || !strings.Contains(w[0], c.want) || !strings.Contains(w[0], "/run/tls/ca")) {
			t.Errorf("%+v: %q", c.o, w)
		}
	}
}
