package config

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// checkDiagnostic sees that a diagnostic can be shown to a person: valid text,
// nothing that steers a terminal, the mark within the line.
func checkDiagnostic(t *testing.T, d Diagnostic) {
	t.Helper()
	text := d.String()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("not printable: %q", text)
	}
	if d.Message == "" {
		t.Errorf("message is %q", d.Message)
	}
	if d.Line > 0 && d.Mark+d.Width > max(utf8.RuneCountInString(d.Source)+1, maxSource) {
		t.Errorf("the mark, %d+%d, is beyond the line:\n%s", d.Mark, d.Width, text)
	}
	if n := utf8.RuneCountInString(d.Source); n > maxSource+1 {
		t.Errorf("%d characters of the line are shown", n)
	}
}

func TestPositions(t *testing.T) {
	for _, c := range []struct {
		name, src    string
		line, column int
		marked       string
	}{
		{"the first byte", "foo = 1", 1, 1, "foo"},
		{"after lines", "# a\n\n  foo = 1", 3, 3, "foo"},
		{"columns count characters", `output "é/😀" { foo = 1 x509_svid {} }`, 1, 16, "foo"},
		{"tabs count as one", "\tfoo = 1", 1, 2, "foo"},
		{"carriage returns", "hint = \"x\"\r\nfoo = 1\r\n", 2, 1, "foo"},
		{"a byte order mark", "\ufefffoo = 1", 1, 1, "foo"}, // nobody sees it
		{"JSON", "{\n \"hint\": \"x\",\n  \"foo\": 1}", 3, 3, `"foo"`},
		{"JSON, glued", `{"hint":"x","foo":1}`, 1, 13, `"foo"`},
		{"glued", `hint="x"foo="y"`, 1, 9, "foo"},
		{"glued to a brace", `health_checks{foo=1}`, 1, 15, "foo"},
		{"glued after a brace", `health_checks{}foo=1`, 1, 16, "foo"},
		{"a value", `health_checks { bind_port = "x" }`, 1, 29, `"x"`},
		{"a value, glued", `health_checks{bind_port="x"}`, 1, 25, `"x"`},
		{"after a heredoc", "hint = <<X\na\nb\nX\nfoo = 1", 5, 1, "foo"},
		{"after a comment of two lines", "/* a\n b */ foo = 1", 2, 7, "foo"},
		{"in a list", "jwt_svids = [{ jwt_svid_file_name = \"f\"\n jwt_audience = [1] jwt_Audience = 5 }]", 2, 17, "[1]"},
		{"at the end of the file", "hint = \"x", 1, 8, `"x`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, ds := parseOn("linux", c.src)
			if len(ds) == 0 {
				t.Fatal("nothing is said")
			}
			d := ds[0]
			if d.Line != c.line || d.Column != c.column {
				t.Errorf("at %d:%d, want %d:%d\n%v", d.Line, d.Column, c.line, c.column, d)
			}
			if got := string([]rune(d.Source)[d.Mark : d.Mark+d.Width]); got != c.marked {
				t.Errorf("%q is marked, want %q\n%v", got, c.marked, d)
			}
			checkDiagnostic(t, d)
		})
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	_, ds := parseOn("linux", `
foo = 1
cmd
output "/d" {
  x509_svid { cert = }
}
output "/e" {
  publish = "x"
  owner   = ""
}
cert_file_mode = 444
hint = "a
renew_signal = "x"
`)
	for _, want := range []string{"2:1|foo", "3:1|cmd", "5:15|cert", "8:13|publish", "9:13|owner", "12:8|never closed", "13:16|renew_signal"} {
		if !has(ds, Error, strings.Split(want, "|")...) {
			t.Errorf("no error with %q", want)
		}
	}
	if !has(ds, Warning, "444") {
		t.Error("no warning")
	}
	for i := range ds[1:] {
		if ds[i].Line > ds[i+1].Line {
			t.Errorf("not in the order of the file: %v", ds)
		}
	}
	if t.Failed() {
		t.Log(ds)
	}
}

func TestPasswordsAreNeverShown(t *testing.T) {
	for _, src := range []string{
		`output "/d" { x509_svid { pkcs12 { file = "x" password = "hunter2" foo = 1 } } }`,
		`output "/d" { x509_svid { pkcs12 { file = "x" password = hunter2 } } }`,
		`output "/d" { x509_svid { pkcs12 { file = "x" password = 'hunter2' } } }`,
		`output "/d" { x509_svid { pkcs12 { file = "x" password "hunter2" } } }`,
		`output "/d" { x509_svid { pkcs12 { file = "x" password = ["hunter2"] } } }`,
		`output "/d" { x509_svid { pkcs12 { file = "x" password = "a" "hunter2" } } }`,
		`output "/d" { x509_svid { pkcs12 { file = "x" password = "hunter2" password = "hunter2" } } }`,
		`output "/d" { x509_svid { pkcs12 { file = "x" "PASSWORD" = "hunter2" } } }`,
		"output \"/d\" { x509_svid { pkcs12 {\n password = \"hunter2\\q\"\n } } }",
		"output \"/d\" { x509_svid { pkcs12 {\n password =\n\"hunter2\\q\"\n } } }",
		"output \"/d\" { x509_svid { pkcs12 {\n password = \"hunter2\n } } }",
		"output \"/d\" { x509_svid { pkcs12 {\n password = <<X\nhunter2\nX\n } } }",
		"output \"/d\" { x509_svid { pkcs12 {\n password = hunter2;\n } } }",
		`{"output": {"/d": {"x509_svid": {"pkcs12": {"password": "hunter2", "foo": 1}}}}}`,
		`process { command = [] env = { PGPASSWORD = "hunter2" } }`,
		`process { env = { PGPASSWORD = hunter2 } }`,
		`output "/d" { x509_svid { pkcs12 { file = "x" password /hunter2 } } }`,
		`output "/d" { x509_svid { pkcs12 { file = "x" password hunter2 } } }`,
	} {
		_, ds := parseOn("linux", src)
		if len(ds) == 0 || strings.Contains(ds.String(), "hunter2") {
			t.Errorf("%s\nis answered by\n%v", src, ds)
		}
	}
}

func TestLongLinesAreCut(t *testing.T) {
	_, ds := parseOn("linux", `hint = "`+strings.Repeat("é", 1000)+`" foo = "`+strings.Repeat("y", 1000)+`"`)
	d := ds[0]
	checkDiagnostic(t, d)
	if d.Column != 1011 || string([]rune(d.Source)[d.Mark:d.Mark+d.Width]) != "foo" {
		t.Errorf("got %d\n%v", d.Column, d)
	}
}

func TestManyDiagnosticsAreCut(t *testing.T) {
	_, ds := parseOn("linux", strings.Repeat("foo = 1\n", 80))
	if len(ds) != maxDiagnostics+1 || ds[maxDiagnostics].Message != "and 30 more" || ds[maxDiagnostics].Severity != Error {
		t.Errorf("%d diagnostics, the last %v", len(ds), ds[len(ds)-1])
	}
}

func TestErrHoldsTheErrors(t *testing.T) {
	_, ds := parseOn("linux", "foo = 1\ncert_file_mode = 444")
	err := ds.Err()
	if err == nil || !strings.Contains(err.Error(), "foo") || strings.Contains(err.Error(), "444") {
		t.Errorf("error is %v", err)
	}
	_, ds = parseOn("linux", "cert_file_mode = 444"+x509Names)
	if err := ds.Err(); err != nil || len(ds) == 0 {
		t.Errorf("error is %v, diagnostics are %v", err, ds)
	}
}

// A file that is no text is said to be none, once.
func TestNoText(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"UTF-16":     {"\xff\xfec\x00m\x00d\x00 \x00=\x00", "save the file as UTF-8"},
		"a program":  {"\x7fELF\x02\x01\x01\x00\x00\x00 = \x00\x01{", "not text"},
		"an archive": {"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not text"},
	} {
		if c, ds := parseOn("linux", c.src); c != nil || len(ds) != 1 {
			t.Errorf("%s: got\n%v", name, ds)
		}
		if _, ds := parseOn("linux", c.src); !has(ds, Error, c.want, "1:1") {
			t.Errorf("%s: got\n%v", name, ds)
		}
	}
}

// What a fuzz target has found: a string that is never closed at the end of what is
// parsed by itself.
func TestAStringThatIsOnlyAQuote(t *testing.T) {
	if c, ds := parseOn("linux", "health 0\"0\nA= \""); c != nil || !has(ds, Error, "never closed") {
		t.Errorf("got %v", ds)
	}
}
