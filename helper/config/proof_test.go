package config

import (
	"strings"
	"testing"
)

// TestClientCANeedsMaterial: a proof of trust that could never be is an error where
// it is asked for.
func TestClientCANeedsMaterial(t *testing.T) {
	const process = `process {
  command     = ["x"]
  on_rotation = "SIGHUP"
  proof {
    tls       = "a:1"
    client_ca = true
  }
}
`
	for output, want := range map[string]string{
		`x509_svid { }`:            "",
		`x509_svid { cert = "c" }`: "no output writes one",
		"x509_svid { cert = \"c\" }\n  x509_bundle { file = \"b\" }":                            "",
		"x509_svid {\n    pkcs12 {\n      file     = \"k\"\n      password = \"p\"\n    }\n  }": "",
	} {
		got, ds := parseOn("linux", process+"output \"/run/tls\" {\n  "+output+"\n}\n")
		switch {
		case want == "" && (got == nil || !got.Process.Proof.ClientCA):
			t.Errorf("%s: %v", output, ds)
		case want != "" && (got != nil || !has(ds, Error, want, "client_ca") || !strings.Contains(ds.String(), "helper.conf:6:5: error")):
			t.Errorf("%s: want an error with %q, got\n%v", output, want, ds)
		}
	}
}

// TestProofNeedsAnSVID: a proof by tls that could never be is an error where it stands,
// in process and in hook. A command can prove whatever there is.
func TestProofNeedsAnSVID(t *testing.T) {
	for _, c := range []struct{ proof, output, want string }{
		{`tls = "a:1"`, `x509_svid { }`, ""},
		{`tls = "a:1"`, `x509_bundle { file = "b" }`, "no output has one"},
		{`command = ["x"]`, `x509_bundle { file = "b" }`, ""},
	} {
		for block, line := range map[string]string{"process {\n  on_rotation = \"SIGHUP\"": "4:11", "hook \"web\" {": "3:11"} {
			got, ds := parseOn("linux", block+"\n  command = [\"x\"]\n  proof { "+c.proof+" }\n}\noutput \"/run/tls\" {\n  "+c.output+"\n}\n")
			if (got != nil) != (c.want == "") || c.want != "" && (!has(ds, Error, c.want, "tls") || !strings.Contains(ds.String(), "helper.conf:"+line+": error")) {
				t.Errorf("%s, %s, %s: want %q, got\n%v", block, c.proof, c.output, c.want, ds)
			}
		}
	}
}
