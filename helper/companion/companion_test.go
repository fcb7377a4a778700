package companion

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestRender(t *testing.T) {
	data := map[string]any{"a": map[string]any{"b": "x", "n": 3}, "list": []any{1, 2}}
	for _, c := range []struct{ text, want, wrong string }{
		{text: "plain", want: "plain"},
		{text: "{{.a.b}} {{range .list}}{{.}},{{else}}none{{end}}", want: "x 1,2,"},
		{text: `{{define "p"}}<{{.}}>{{end}}{{template "p" .a.b}}`, want: "<x>"},
		{text: "{{range 3}}{{.}}{{end}}{{range $i, $x := .list}}{{if $i}}{{break}}{{end}}{{$x}}{{end}}", want: "0121"},
		{text: "one\n{{.a.c}}", wrong: "f.tmpl:2:4: "},
		{text: "{{.b}}", wrong: `no entry for key "b"`},
		{text: "one\ntwo {{if}}", wrong: "f.tmpl:2: missing value for if"},
		{text: "\n\n{{exec `rm`}}", wrong: `f.tmpl:3: function "exec" not defined`},
		{text: "{{range .list}}", wrong: "f.tmpl:1: unexpected EOF"},
		{text: "{{range 9223372036854775807}}{{end}}", wrong: "f.tmpl: it takes more than 100000 steps"},
		{text: "{{range 2000}}{{range 2000}}{{else}}{{end}}{{end}}", wrong: "steps"},
		{text: `{{define "p"}}{{template "p"}}{{template "p"}}{{end}}{{template "p"}}`, wrong: "steps"},
		{text: `{{define "p"}}{{if .}}{{template "p" slice . 1}}{{template "p" slice . 1}}{{end}}{{end}}{{template "p" "thirty characters are 2^30 uses"}}`, wrong: "steps"},
		{text: "{{range 200}}" + strings.Repeat("x", 10_000) + "{{end}}", wrong: "f.tmpl: it makes more than 1048576 bytes"},
		{text: strings.Repeat("x", MaxText+1), wrong: "at most 262144 bytes"},
	} {
		name := c.text[:min(len(c.text), 60)]
		tmpl, err := Parse("f.tmpl", c.text, nil)
		var got []byte
		if err == nil {
			got, err = tmpl.Render(data, nil)
		}
		switch {
		case c.wrong == "" && err != nil, c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v, want %q", name, err, c.wrong)
		case c.wrong == "" && string(got) != c.want:
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if err != nil && strings.Contains(err.Error(), step) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCalls: whether a template asks for a secret is known before it is rendered,
// wherever it does.
// TestMadeIsBounded: what a template makes and does not write is bounded too.
func TestMadeIsBounded(t *testing.T) {
	for name, again := range map[string]string{
		"printf":    `{{$x = printf "%s%s" $x $x}}`,
		"print":     `{{$x = print $x $x}}`,
		"println":   `{{$x = println $x $x}}`,
		"html":      `{{$x = html $x $x}}`,
		"js":        `{{$x = js $x $x}}`,
		"urlquery":  `{{$x = urlquery $x $x}}`,
		"json":      `{{$x = json $x}}`,
		"shell":     `{{$x = shell $x}}`,
		"hcl":       `{{$x = hcl $x}}`,
		"backslash": `{{$x = backslash "'" $x}}`,
		"indent":    `{{$x = print $x $x "\n\n\n\n" | indent 100}}`,
		"index":     `{{$x = printf "%[1]s%[1]s%[1]s" $x}}`,
		"width":     `{{$x = printf "%999999d%999999d%999999d" 1 2 3}}`,
		"star":      `{{$x = printf "%*d%*d" 999999 1 999999 2}}`,
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, err := Parse("f.tmpl", "{{$x := `'\"\\<`}}"+strings.Repeat(again, 3000), nil)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = tmpl.Render(nil, nil)
			if !errors.Is(err, errSize) {
				t.Errorf("it ends with %v", err)
			}
			if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 1<<30 {
				t.Errorf("%d bytes are allocated", after.TotalAlloc-before.TotalAlloc)
			}
		})
	}
}

func TestCalls(t *testing.T) {
	secret := Functions{"token": func(any) string { return "secret" }}
	for _, text := range []string{
		"{{token .}}", "{{. | token}}", "{{. | token | json}}", "{{if token .}}{{end}}", "{{if .a}}{{else}}{{token .}}{{end}}",
		"{{range token .}}{{end}}", "{{range .a}}{{token .}}{{end}}", "{{range .a}}{{else}}{{token .}}{{end}}", "{{with token .}}{{end}}",
		"{{with .a}}{{else}}{{token .}}{{end}}", `{{define "x"}}{{token .}}{{end}}`, `{{template "x" token .}}{{define "x"}}{{end}}`,
		"{{$x := token .}}", "{{$x := .}}{{$x = token .}}", "{{(token .).b}}", "{{len (token .)}}", "{{printf `%s` (token .)}}", `{{block "x" (token .)}}{{end}}`,
		"{{if .a}}{{else if token .}}{{end}}", "{{(. | token) | json}}", "{{- token . -}}", "{{range $k, $v := token .}}{{end}}",
	} {
		tmpl, err := Parse("x", text, secret)
		if err != nil {
			t.Fatal(err)
		}
		if !tmpl.Calls("token") {
			t.Errorf("%s asks for a token, unnoticed", text)
		}
	}
	tmpl, err := Parse("x", `token {{"token"}} {{/* token */}} {{.a.token}} {{$.b.c}} {{(index . 1).d}} {{$x := .}}{{$x.e}}`, secret)
	if err != nil {
		t.Fatal(err)
	}
	if tmpl.Calls("token") {
		t.Error("a word, or a field, is no call")
	}
	for _, name := range []string{"a", "token", "b", "c", "d", "e"} {
		if !tmpl.Names(name) {
			t.Errorf("the field %s is not noticed", name)
		}
	}
}

// hostile are values that a hint or a claim can have.
var hostile = []string{
	"plain", "", `"`, `'`, `\`, "a\nb", "\r\n\t", `"}, {"x": "`, "$(id)", "`id`", "${x}", "%{ if true }", "$${", "$", "é\u2028", "\x01", "*", "</script>", "a b", `\"`, "'\\''",
}

// TestQuoting: what is quoted is read back as it was, by others' readers.
func TestQuoting(t *testing.T) {
	render := func(text, value string) string {
		t.Helper()
		tmpl, err := Parse("x", text, nil)
		if err != nil {
			t.Fatal(err)
		}
		out, err := tmpl.Render(map[string]any{"v": value}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for _, v := range hostile {
		var got struct{ A, B string }
		if err := json.Unmarshal([]byte(render(`{"a": {{json .v}}, "b": {{.v | json}}}`, v)), &got); err != nil || got.A != v || got.B != v {
			t.Errorf("json: %q is read as %+v, %v", v, got, err)
		}
		if out, err := exec.Command("sh", "-c", "printf %s "+render("{{shell .v}}", v)).Output(); err != nil || string(out) != v {
			t.Errorf("shell: %q is read as %q, %v", v, out, err)
		}
		e, ds := hclsyntax.ParseExpression([]byte(render("{{hcl .v}}", v)), "x", hcl.InitialPos)
		if ds.HasErrors() {
			t.Errorf("hcl: %q: %v", v, ds)
			continue
		}
		if got, ds := e.Value(nil); ds.HasErrors() || got.AsString() != v {
			t.Errorf("hcl: %q is read as %#v, %v", v, got, ds)
		}
	}
	if got := render(`{{backslash ":" .v}}`, `a:b\c`); got != `a\:b\\c` {
		t.Error(got)
	}
	if got := render(`{{indent 2 .v}}`, "a\nb\n"); got != "  a\n  b" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"{{backslash `:` .v}}", "{{indent 1000 .v}}", "{{shell .z}}"} {
		tmpl, err := Parse("x", bad, nil)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := tmpl.Render(map[string]any{"v": "a\nb", "z": "\x00"}, nil); err == nil {
			t.Errorf("%s gives %q", bad, out)
		}
	}
}

// TestQuotingIsDocumented: every function stands in docs/templates.md.
func TestQuotingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range quoting(nil) {
		if !strings.Contains(string(text), "| `"+name+" ") {
			t.Errorf("docs/templates.md lacks %s", name)
		}
	}
}
