package check_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/check"
)

// An opinion is what another JOSE library says of a token and its keys.
type opinion struct {
	Parsed, Signed, Current bool
	Subject                 string
	Audience                []string
	Expires                 int64
	Thumbprints             []string
}

// otherLibrary asks the program in testdata/jwx about tokens.
func otherLibrary(t *testing.T, tokens []string, jwks [][]byte) []opinion {
	t.Helper()
	program := filepath.Join(t.TempDir(), "jwx")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "testdata/jwx"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the other library: %v\n%s", err, out)
	}
	var questions bytes.Buffer
	for i, token := range tokens {
		line, err := json.Marshal(map[string]any{"token": token, "keys": json.RawMessage(jwks[i]), "now": now.Unix()})
		if err != nil {
			t.Fatal(err)
		}
		questions.Write(append(line, '\n'))
	}
	cmd := exec.Command(program)
	cmd.Stdin = &questions
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []opinion
	for line := range bytes.Lines(out) {
		var o opinion
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, o)
	}
	if len(answers) != len(tokens) {
		t.Fatalf("%d answers to %d questions", len(answers), len(tokens))
	}
	return answers
}

// otherwise are the samples of which the other library says something else about
// the signature, and why.
var otherwise = map[string]string{
	"JWT-SVID: critical extensions":                 "it verifies what has extensions that it does not know, against RFC 7515 4.1.11",
	"WIT-SVID: critical extensions":                 "as above",
	"JWT-SVID: typ is a number":                     "it does not parse such a header",
	"JWT-SVID: typ of a WIT-SVID, with an audience": "the authorities of JWT-SVIDs verify no WIT-SVID, which JOSE does not know",
}

// TestAgreesWithAnotherJOSELibrary: of every token of the samples, another library
// says the same about its signature, its claims and its time, and of every key it
// has the same thumbprint.
func TestAgreesWithAnotherJOSELibrary(t *testing.T) {
	var samples []sample
	var tokens []string
	var jwks [][]byte
	for _, s := range append(jwtSamples(t), witSamples(t)...) {
		if i := slices.IndexFunc(s.set, func(f check.File) bool { return f.Path == "bundle.json" }); i >= 0 {
			samples, tokens, jwks = append(samples, s), append(tokens, strings.TrimSuffix(string(s.set[0].Data), "\n")), append(jwks, forAnyUse(s.set[i].Data))
		}
	}
	signed := 0
	for i, o := range otherLibrary(t, tokens, jwks) {
		r := look(samples[i].set)
		name, item := samples[i].name, r.Files[0]
		_, different := otherwise[name]
		parsed := item.Claims != nil // otherwise check never came to the signature
		if verified := signatureVerified(item); parsed && verified != o.Signed && !different {
			t.Errorf("%s: the signature is good for the other library: %v, for check: %v", name, o.Signed, verified)
		} else if verified {
			signed++
		}
		if o.Parsed && item.SPIFFEID != "" && item.SPIFFEID != o.Subject {
			t.Errorf("%s: the subject is %q for the other library, for check %q", name, o.Subject, item.SPIFFEID)
		}
		if o.Parsed && item.NotAfter != nil && item.NotAfter.Unix() != o.Expires {
			t.Errorf("%s: it expires at %d for the other library, for check at %d", name, o.Expires, item.NotAfter.Unix())
		}
		if o.Current && brokenTime(item) {
			t.Errorf("%s: the other library accepts its times, check does not: %v", name, item.Findings)
		}
		if o.Parsed && !o.Current && item.Kind == check.JWTSVID && item.Usable {
			t.Errorf("%s: the other library refuses its times, check does not", name)
		}
		compareKeys(t, name, r, o)
	}
	t.Logf("%d tokens, %d well signed", len(tokens), signed)
	if len(tokens) < 90 || signed < 50 {
		t.Errorf("%d tokens, %d well signed: too few", len(tokens), signed)
	}
}

// TestAgreesWithAnotherJOSELibraryOnBundles: the keys of every bundle that is good
// are the same for another library; what it cannot parse is not good.
func TestAgreesWithAnotherJOSELibraryOnBundles(t *testing.T) {
	samples := bundleSamples(t)
	var jwks [][]byte
	for _, s := range samples {
		jwks = append(jwks, s.set[0].Data)
	}
	same := 0
	for i, o := range otherLibrary(t, make([]string, len(samples)), jwks) {
		r := look(samples[i].set)
		switch kind := r.Files[0].Kind; {
		case kind == check.BundleMap: // which JOSE does not know
		case len(o.Thumbprints) == 0 && r.Usable:
			t.Errorf("%s: the other library finds no key in it, and check nothing against it", samples[i].name)
		case r.Usable:
			compareKeys(t, samples[i].name, r, o)
			same++
		}
	}
	if same < 3 {
		t.Errorf("%d bundles compared: too few", same)
	}
}

// compareKeys compares the thumbprints of the keys of the last file.
func compareKeys(t *testing.T, name string, r *check.Report, o opinion) {
	t.Helper()
	var have []string
	for _, k := range r.Files[len(r.Files)-1].Keys {
		have = append(have, k.SHA256)
	}
	if !slices.Equal(have, o.Thumbprints) {
		t.Errorf("%s: the thumbprints are %q for the other library, for check %q", name, o.Thumbprints, have)
	}
}

// forAnyUse is a SPIFFE bundle without what its keys are for, which JOSE does not
// know.
func forAnyUse(bundle []byte) []byte {
	for _, use := range []string{"jwt-svid", "wit-svid"} {
		bundle = bytes.ReplaceAll(bundle, []byte(`"use":"`+use+`",`), nil)
	}
	return bundle
}

// signatureVerified reports whether the signature was verified.
func signatureVerified(i *check.Item) bool {
	return slices.ContainsFunc(i.Findings, func(f check.Finding) bool {
		return f.Level == check.OK && strings.HasPrefix(f.Text, "the signature is that of")
	})
}

// brokenTime reports whether a token is refused for the time that it is now.
func brokenTime(i *check.Item) bool {
	return slices.ContainsFunc(i.Findings, func(f check.Finding) bool {
		return f.Level == check.Problem && (strings.HasPrefix(f.Text, "expired") || strings.HasPrefix(f.Text, "nbf"))
	})
}
