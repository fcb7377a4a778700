package config

import (
	"strings"
	"testing"
)

// native is a file of ours with lines of x509_svid, and one for itself.
func native(line string) string {
	return "output \"/d\" {\n x509_svid {\n" + line + "\n}\n}\n"
}

func TestEnvironment(t *testing.T) {
	t.Setenv("POD", "web-0")
	t.Setenv("EMPTY", "")
	t.Setenv("QUOTE", "a\"${env.POD}\\")
	for line, want := range map[string]string{
		`hint = env.POD`:                                    "web-0",
		`hint = "${env.POD}"`:                               "web-0",
		`hint = "x-${env.POD}-y"`:                           "x-web-0-y",
		`hint = "${env.POD}${env.POD}"`:                     "web-0web-0",
		`hint = coalesce(env.UNSET, "default")`:             "default",
		`hint = coalesce(env.UNSET, env.POD, "d")`:          "web-0",
		`hint = "${coalesce(env.UNSET, "default")}.x"`:      "default.x",
		`hint = "x${coalesce(env.EMPTY, "default")}"`:       "x",
		`hint = "$${env.POD}"`:                              "${env.POD}",
		`hint = "%%{if}"`:                                   "%{if}",
		`hint = "${env.QUOTE}"`:                             "a\"${env.POD}\\", // once, and no more
		"hint = <<-EOF\n    ${env.POD} is\n    here\n  EOF": "web-0 is\nhere\n",
	} {
		c, _ := mustParse(t, native(line))
		hint(want)(t, c)
	}
	json, _ := mustParse(t, `{"output": {"/d": {"x509_svid": {"hint": "x-${env.POD}", "cert": "$${c}"}}}}`)
	hint("x-web-0")(t, json)
	if got := x509(json).Cert.Name; got != "${c}" {
		t.Errorf("in JSON the escaped name is %q", got)
	}
	flat, _ := mustParse(t, `hint = "${env.POD}"`+x509Names)
	hint("${env.POD}")(t, flat)
}

func TestEnvironmentErrors(t *testing.T) {
	for line, want := range map[string]string{
		`hint = "x-${env.UNSET}"`:                "3:8|env.UNSET is not set|coalesce",
		`hint = env.UNSET`:                       "env.UNSET is not set",
		`hint = coalesce(env.UNSET, env.UNSET2)`: "is not set",
		`hint = "${pod}"`:                        "there is no variable pod|$${",
		`hint = "${env}"`:                        "there is no variable env",
		`hint = "${env.A.B}"`:                    "there is no variable env.A.B",
		`hint = upper(env.UNSET)`:                "there is no function upper, only coalesce",
		`hint = "${1 + 2}"`:                      "nothing is computed here",
		`hint = "%{ if true }x%{ endif }"`:       "nothing is computed here",
		`hint = [for x in ["a"] : x]`:            "nothing is computed here",
		`hint = "${env.UNSET"`:                   "never closed",
		`allow = ["${env.UNSET}"]`:               "env.UNSET is not set",
	} {
		c, ds := parseOn("linux", native(line))
		if c != nil || !has(ds, Error, strings.Split(want, "|")...) {
			t.Errorf("%s: want %q, got\n%v", line, want, ds)
		}
	}
	for src, want := range map[string]string{
		`{"output": {"/d": {"x509_svid": {"hint": "x${env.UNSET}"}}}}`: "env.UNSET is not set",
		`{"output": {"/d": {"x509_svid": {"hint": "x${env."}}}}`:       "",
		"output \"/run/${env.UNSET}\" {\n x509_svid {}\n}\n":           "is not interpolated|dir =",
	} {
		if c, ds := parseOn("linux", src); c != nil || !has(ds, Error, strings.Split(want, "|")...) {
			t.Errorf("%s: want %q, got\n%v", src, want, ds)
		}
	}
}

// What came from the environment is printed by its name, and read back.
func TestEnvironmentIsPrintedByName(t *testing.T) {
	t.Setenv("SECRET", "hunter2")
	t.Setenv("POD", "web-0")
	for _, src := range []string{`
output "files" {
  dir       = "/run/${env.POD}"
  file_mode = coalesce(env.UNSET, "0640")
  x509_svid {
    allow = ["spiffe://example.org/${env.POD}"]
    cert  = { file = "${env.POD}.crt", mode = "0600" }
    pkcs12 {
      file     = "p"
      password = env.SECRET
    }
  }
}
process {
  command     = ["x", "--name=${env.POD}"]
  on_rotation = "none"
  env         = { TOKEN = env.SECRET, PLAIN = "p" }
}
`, `{"output": {"d": {"dir": "/run/${env.POD}", "x509_svid": {"allow": ["spiffe://example.org/${env.POD}"], "pkcs12": {"file": "p", "password": "${env.SECRET}"}}}},
		"process": {"command": ["x", "a\"${coalesce(env.UNSET, \"q\")}"], "on_rotation": "none", "env": {"TOKEN": "${env.SECRET}"}}}`} {
		c, _ := mustParse(t, src)
		printed := string(Print(c))
		for _, part := range []string{"env.SECRET", `"spiffe://example.org/${env.POD}"`, `"/run/${env.POD}"`} {
			if !strings.Contains(printed, part) {
				t.Errorf("no %s in\n%s", part, printed)
			}
		}
		if strings.Contains(printed, "hunter2") {
			t.Errorf("the secret is printed:\n%s", printed)
		}
		t.Setenv("POD", "web-1")
		again, ds := parseOn("linux", printed)
		if again == nil {
			t.Fatal(ds)
		}
		if got := again.Outputs[0].Dir; got != "/run/web-1" {
			t.Errorf("the directory is %s", got)
		}
		t.Setenv("POD", "web-0")
	}
}
