package encode

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// sequenceOf is the sequence number of a document.
func sequenceOf(t testing.TB, data []byte) uint64 {
	t.Helper()
	b, err := spiffebundle.Parse(td("example.org"), data)
	must(t, err)
	n, ok := b.SequenceNumber()
	if !ok {
		t.Fatalf("no sequence number in %s", data)
	}
	return n
}

// TestSequenceGrows: the sequence number stays while the content does, and grows with
// each change of it, within a second too, across restarts, and whatever the clock does.
func TestSequenceGrows(t *testing.T) {
	o := &Output{SPIFFEBundles: []SPIFFEBundle{{File: FileSpec{Name: "b"}, TrustDomains: []spiffeid.TrustDomain{td("example.org")}}}}
	s, now := fixed(t), fixedTime
	var published []byte
	e := fixedEncoder(o, func(string) ([]byte, error) { return published, nil })
	e.now = func() time.Time { return now }
	next := func(what string, grows bool) {
		t.Helper()
		data := encodeWith(t, e, s).file(t, "b").Data
		switch {
		case published == nil:
		case grows && sequenceOf(t, data) <= sequenceOf(t, published):
			t.Errorf("%s: %d after %d", what, sequenceOf(t, data), sequenceOf(t, published))
		case !grows && string(data) != string(published):
			t.Errorf("%s: it has changed\n%s\n%s", what, published, data)
		}
		published = data
	}
	change := func() {
		jwt := s.JWTBundles.Bundles[0].Clone()
		must(t, jwt.AddJWTAuthority(fmt.Sprint("key-", sequenceOf(t, published)), newKey(t).Public()))
		s.JWTBundles = jwtBundles(jwt)
	}
	restart := func() {
		again := fixedEncoder(o, e.published)
		again.now, e = e.now, again
	}
	next("first", false)
	now = now.Add(time.Hour)
	next("nothing", false)
	change()
	next("a JWT authority", true)
	change()
	next("another one within the second", true)
	restart()
	next("a restart", false)
	change()
	next("a change after it", true)
	now = fixedTime.Add(-24 * time.Hour)
	change()
	next("a clock that goes back", true)
	restart()
	change()
	next("and a restart", true)
	s.X509Bundles = &snapshot.X509Bundles{Bundles: []*x509bundle.Bundle{newAuthority(t, "example.org").bundle()}}
	next("another X.509 authority", true)
	restart()
	o.SPIFFEBundles[0].RefreshHint = time.Hour
	next("another refresh hint", true)
}

// TestHostileSequence: what is on disk and cannot be gone on from begins anew with the
// time, which is later than what was published before, if that followed the clock.
func TestHostileSequence(t *testing.T) {
	for _, before := range []string{
		"", "{", "[]", "null", `"x"`, "{}", `{"spiffe_sequence": null}`, `{"spiffe_sequence": "5"}`, `{"spiffe_sequence": -5}`, `{"spiffe_sequence": 0}`,
		`{"spiffe_sequence": 1.5}`, `{"spiffe_sequence": 1e400}`, `{"spiffe_sequence": 9007199254740991}`, `{"spiffe_sequence": 9223372036854775807}`,
		`{"spiffe_sequence": 18446744073709551615}`, strings.Repeat("[", 100_000), "\x00\xff",
	} {
		for _, format := range []BundleFormat{FormatDefault, FormatMap} {
			data := before
			if format == FormatMap {
				data = `{"trust_domains": {"example.org": ` + before + `}}`
			}
			o := &Output{SPIFFEBundles: []SPIFFEBundle{{File: FileSpec{Name: "b"}, TrustDomains: []spiffeid.TrustDomain{td("example.org")}, Format: format}}}
			got := encodeWith(t, fixedEncoder(o, func(string) ([]byte, error) { return []byte(data), nil }), fixed(t)).file(t, "b").Data
			if format == FormatMap {
				got = membersOf(t, got)["example.org"]
			}
			if n := sequenceOf(t, got); n != uint64(fixedTime.Unix()) {
				t.Errorf("%.80q in format %q goes on with %d", before, format, n)
			}
		}
	}
	o := &Output{SPIFFEBundles: []SPIFFEBundle{{File: FileSpec{Name: "b"}, TrustDomains: []spiffeid.TrustDomain{td("example.org")}}}}
	e := fixedEncoder(o, func(string) ([]byte, error) { return nil, errors.New("it cannot be read") })
	e.now = func() time.Time { return time.Unix(-5, 0) }
	if n := sequenceOf(t, encodeWith(t, e, fixed(t)).file(t, "b").Data); n != 1 {
		t.Errorf("before 1970 it is %d", n)
	}
}

// TestMapGrowsByTrustDomain: the sequence number of one trust domain says nothing of
// another's.
func TestMapGrowsByTrustDomain(t *testing.T) {
	o := &Output{SPIFFEBundles: []SPIFFEBundle{{File: FileSpec{Name: "map"}, Format: FormatMap}}}
	e, s := fixedEncoder(o, unpublished), fixed(t)
	before := membersOf(t, encodeWith(t, e, s).file(t, "map").Data)
	s.X509Bundles = &snapshot.X509Bundles{Bundles: []*x509bundle.Bundle{newAuthority(t, "example.org").bundle(), s.X509Bundles.Bundles[1]}}
	after := membersOf(t, encodeWith(t, e, s).file(t, "map").Data)
	if sequenceOf(t, after["example.org"]) <= sequenceOf(t, before["example.org"]) || string(after["other.example"]) != string(before["other.example"]) {
		t.Errorf("%s\n%s", before, after)
	}
	s.X509Bundles = &snapshot.X509Bundles{}
	if got := string(encodeWith(t, e, s).file(t, "map").Data); got != `{"trust_domains":{}}` { // which is valid, and may be meant
		t.Error(got)
	}
}

// TestSPIFFEBundleWaits: a document is written once every profile has answered, as one
// that lacks authorities says that they are withdrawn; and no other file waits for it.
func TestSPIFFEBundleWaits(t *testing.T) {
	o := trio()
	o.SPIFFEBundles = []SPIFFEBundle{
		{File: FileSpec{Name: "{trust_domain}.json"}},
		{File: FileSpec{Name: "named.json"}, TrustDomains: []spiffeid.TrustDomain{td("absent.example")}},
	}
	s := fixed(t)
	jwt := s.JWTBundles
	s.JWTBundles = nil
	set := NewEncoder(o, unpublished).Encode(s, nil)
	if names := set.names(); !slices.Equal(names, []string{"tls.crt", "tls.key", "ca.crt"}) || len(set.Gaps) != 2 {
		t.Errorf("%q, %v", names, set.Gaps)
	}
	if g := set.Gaps[0]; g.Kind != snapshot.KindBundle|snapshot.KindJWT || len(g.Files) != 1 {
		t.Errorf("%+v", g)
	}
	s.JWTBundles = &snapshot.JWTBundles{Bundles: []*jwtbundle.Bundle{jwt.Bundles[0], jwtBundle(t, "tokens.example", 1)}}
	set = NewEncoder(o, unpublished).Encode(s, nil)
	if names := set.names(); !slices.Equal(names[3:], []string{"example.org.json", "other.example.json", "tokens.example.json"}) || len(set.Gaps) != 1 {
		t.Errorf("%q, %v", names, set.Gaps)
	}
	if use := set.file(t, "example.org.json").Use; use.Private || use.Kind != snapshot.KindBundle|snapshot.KindJWT {
		t.Errorf("%+v", use)
	}
}

func membersOf(t testing.TB, data []byte) map[string]json.RawMessage {
	t.Helper()
	var m struct {
		TrustDomains map[string]json.RawMessage `json:"trust_domains"`
	}
	must(t, json.Unmarshal(data, &m))
	return maps.Clone(m.TrustDomains)
}

func encodeWith(t testing.TB, e *Encoder, s *snapshot.Snapshot) Set {
	t.Helper()
	set, err := tryEncode(e, s)
	must(t, err)
	return set
}
