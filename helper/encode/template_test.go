package encode

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// withTemplates is an output with an X.509-SVID, a JWT-SVID and templates, each named
// by its number.
func withTemplates(t testing.TB, texts ...string) *Output {
	t.Helper()
	o := trio()
	o.Dir = "/run/tls"
	o.JWTSVIDs = []JWTSVID{{Audience: []string{"vault"}, File: FileSpec{Name: "vault.jwt"}}}
	for i, text := range texts {
		o.Templates = append(o.Templates, Template{File: FileSpec{Name: fmt.Sprint(i)}, Text: text})
	}
	for i := range o.Templates {
		if err := o.Templates[i].Compile(o); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func templateSnapshot(t testing.TB, hint string) *snapshot.Snapshot {
	t.Helper()
	a := newAuthority(t, "example.org")
	svid := a.svid(t, "/web", hint)
	token := jwtSVID(t, svid.ID, hint, "vault")
	return &snapshot.Snapshot{
		X509:     &snapshot.X509{SVIDs: []snapshot.X509SVID{{SVID: svid, Bundle: a.bundle()}}},
		JWTSVIDs: map[snapshot.JWTRequest]*snapshot.JWTSVID{JWTSVID{Audience: []string{"vault"}}.Request(): token},
	}
}

// TestTemplates: what a template sees, which kind of change its file is, and who may
// read it.
func TestTemplates(t *testing.T) {
	s := templateSnapshot(t, "")
	svid, token := s.X509.SVIDs[0], s.JWTSVIDs[JWTSVID{Audience: []string{"vault"}}.Request()]
	leaf := svid.Certificates[0]
	x509, jwt, all := snapshot.KindX509, snapshot.KindJWT, snapshot.KindX509|snapshot.KindJWT
	for _, c := range []struct {
		text, want string
		kind       snapshot.Kind
		private    bool
	}{
		{"fixed", "fixed", all, false},
		{"{{ .dir }}", "/run/tls", all, false},
		{"{{ .x509_svid.spiffe_id }} {{ .x509_svid.trust_domain }} {{ .x509_svid.path }} {{ .x509_svid.kind }} {{ .x509_svid.number }}", "spiffe://example.org/web example.org /web x509_svid 0", x509, false},
		{"{{ .x509_svid.serial }}", snapshot.Serial(leaf.SerialNumber), x509, false},
		{"{{ .x509_svid.not_after }} {{ .x509_svid.not_after.Unix }}", leaf.NotAfter.UTC().Format(time.RFC3339) + fmt.Sprint(" ", leaf.NotAfter.Unix()), x509, false},
		{"{{ .x509_svid.paths.cert }} {{ .x509_svid.paths.key }}", "/run/tls/" + trio().X509SVIDs[0].Cert.Name + " /run/tls/" + trio().X509SVIDs[0].Key.Name, x509, false},
		{`{{ index .x509_svid.paths "crl" }}none`, "none", x509, false},
		{"{{ .jwt_svid.audience | json }} {{ .jwt_svid.claims.aud | json }} {{ .jwt_svid.claims.exp }} {{ .jwt_svid.paths.file }} [{{ .jwt_svid.not_before }}]",
			fmt.Sprintf(`["vault"] ["vault"] %d /run/tls/vault.jwt []`, token.Expiry.Unix()), jwt, false},
		{"{{ range .identities }}{{ .kind }} {{ end }}", "x509_svid jwt_svid ", all, false},
		{"{{ range .files }}{{ if .private }}{{ .name }} {{ .mode }} {{ json .kinds }};{{ end }}{{ end }}",
			trio().X509SVIDs[0].Key.Name + ` 0600 ["x509"];vault.jwt 0600 ["jwt"];`, all, false},
		{"{{ token .jwt_svid }}", token.Token, jwt, true},
		{"{{ range .identities }}{{ if eq .kind `jwt_svid` }}{{ token . }}{{ end }}{{ end }}", token.Token, all, true},
		{"{{ if false }}{{ key .x509_svid }}{{ end }}nothing", "nothing", x509, true},
		{"{{ cert .x509_svid }}", string(encodeCerts(svid.Certificates, EncodingPEM)), x509, false},
		{"{{ bundle .x509_svid }}", string(encodeCerts(svid.Bundle.X509Authorities(), EncodingPEM)), x509 | snapshot.KindBundle, false},
	} {
		o := withTemplates(t, c.text)
		set := encode(t, s, o)
		f := set.file(t, "0")
		mode := fs.FileMode(0o644)
		if c.private {
			mode = 0o600
		}
		if string(f.Data) != c.want || f.Kind != c.kind || f.Private != c.private || f.Mode != mode {
			t.Errorf("%s: %q, %v, private %v, mode %v; want %q, %v, %v", c.text, f.Data, f.Kind, f.Private, f.Mode, c.want, c.kind, c.private)
		}
	}
	set := encode(t, s, withTemplates(t, "{{ key .x509_svid }}"))
	if _, ders := blocks(t, set.file(t, "0").Data); len(ders) != 1 || string(set.file(t, "0").Data) != string(set.file(t, trio().X509SVIDs[0].Key.Name).Data) {
		t.Errorf("key prints %q", set.file(t, "0").Data)
	}
}

// TestTemplateGaps: a template whose SVID is not there yet waits, as the SVID does, and
// one that can never be says why; both change no other file, and their own stay.
func TestTemplateGaps(t *testing.T) {
	o := withTemplates(t, "{{ .jwt_svid.serial }}", "{{ .jwt_svid.claims.groups }}", "{{ .x509_svid.serial }}", "{{ if false }}x{{ end }}")
	s := templateSnapshot(t, "")
	tokens := s.JWTSVIDs
	s.JWTSVIDs = nil
	gaps := func() (all []string) {
		t.Helper()
		set := NewEncoder(o, unpublished).Encode(s, nil)
		for _, g := range set.Gaps {
			if g.Selection.Block == BlockTemplate {
				all = append(all, fmt.Sprintf("%s %v %v", g.What, g.Err, names(g.Files)))
			}
		}
		if !strings.Contains(strings.Join(set.names(), " "), " 2") {
			t.Errorf("of %q, 2 is missing", set.names())
		}
		return all
	}
	want := []string{`template "0" <nil> [0]`, `template "1" <nil> [1]`, `template "3" there is nothing to put in "3", and no file is ever empty [3]`}
	if got := gaps(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("without a token: %q, want %q", got, want)
	}
	s.JWTSVIDs = tokens
	want = []string{`template "1" 1:1:12: <.jwt_svid.claims.groups>: map has no entry for key "groups" [1]`, want[2]}
	if got := gaps(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("with it: %q, want %q", got, want)
	}
	set := NewEncoder(o, unpublished).Encode(s, map[Selection]bool{{BlockJWTSVID, 0}: true})
	for _, g := range set.Gaps {
		if g.Selection.Block == BlockTemplate && len(g.Files) > 0 {
			t.Errorf("the token has been withdrawn, and %s keeps its file", g.What)
		}
	}
}

// TestCompile: what can never be is found before there is an answer.
func TestCompile(t *testing.T) {
	for text, want := range map[string]string{
		"{{ .x509_svid.serial }}": "", "{{ .jwt_svid.claims.anything }}": "", "{{ (index .identities 7).serial }}": "", `{{ index .x509_svid.paths "crl" }}`: "",
		"{{ range .files }}{{ .path }}{{ end }}": "", "{{ .x509_svid.not_after.Format `2006` }}": "",
		"{{ .wit_svid.serial }}": "wit_svid", "{{ .x509_svid.paths.combined }}": "combined", "{{ range .identities }}{{ .seral }}{{ end }}": "seral",
		"{{ .x509_svid.serial": "unclosed action", "{{ readFile `/etc/shadow` }}": "readFile", "{{ env `HOME` }}": "env",
		`{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`: "steps", `{{ printf "%999999d%999999d" 1 2 }}`: "bytes",
	} {
		tmpl := Template{File: FileSpec{Name: "0"}, Text: text}
		if err := tmpl.Compile(withTemplates(t)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestHostileTemplates: a hint with quotes and newlines breaks no file that quotes it.
func TestHostileTemplates(t *testing.T) {
	hint := "\"}, {\"x\": 'y'\n${z}\\ \x01 é"
	set := encode(t, templateSnapshot(t, hint), withTemplates(t, `{"hint": {{ json .x509_svid.hint }}, "all": {{ json .identities }}}`))
	var got struct {
		Hint string
		All  []struct{ Hint string }
	}
	if err := json.Unmarshal(set.file(t, "0").Data, &got); err != nil || got.Hint != hint || len(got.All) != 2 || got.All[0].Hint != hint {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestTemplatesRestored: a set with the files of templates is whole, and one without
// them is not.
func TestTemplatesRestored(t *testing.T) {
	o := withTemplates(t, "{{ .x509_svid.serial }} {{ token .jwt_svid }}")
	set := encode(t, templateSnapshot(t, ""), o)
	disk := diskOf(set)
	restored, _, err := Restore(o, disk, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if f := restored.file(t, "0"); !f.Private || f.Kind != snapshot.KindX509|snapshot.KindJWT || string(f.Data) != string(set.file(t, "0").Data) {
		t.Errorf("%+v", f)
	}
	delete(disk, "0")
	if _, _, err := Restore(o, disk, time.Now()); err == nil {
		t.Error("a set without its companion counts as whole")
	}
}

// A memoryDisk is what an earlier run has left, by name.
type memoryDisk map[string][]byte

func diskOf(set Set) memoryDisk {
	d := memoryDisk{}
	for _, f := range set.Files {
		d[f.Name] = f.Data
	}
	return d
}

func (d memoryDisk) Names() ([]string, error) { return slices.Collect(maps.Keys(d)), nil }

func (d memoryDisk) Read(name string) ([]byte, error) {
	if data, is := d[name]; is {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

// TestTemplatesAreDocumented: every value and every function that a template has stands
// in docs/templates.md.
func TestTemplatesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/templates.md")
	must(t, err)
	o := withTemplates(t)
	o.WITSVIDs = []WITSVID{{Token: FileSpec{Name: "wit.jwt"}, Key: FileSpec{Name: "wit.key"}}}
	data := sampleData(o)
	var names []string
	for name := range data {
		names = append(names, "`."+name+"`")
	}
	for name := range data["x509_svid"].(map[string]any) {
		names = append(names, "`"+name+"`")
	}
	for name := range data["files"].([]any)[0].(map[string]any) {
		names = append(names, "`"+name+"`")
	}
	for name := range declared {
		names = append(names, "`"+name+" .")
	}
	for _, name := range names {
		if !strings.Contains(string(text), name) {
			t.Errorf("docs/templates.md lacks %s", name)
		}
	}
}
