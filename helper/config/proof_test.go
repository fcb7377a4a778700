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
		`x509_bundle { file = "b" }`:                                  "no output has one",
		"jwt_svid {\n    audience = \"a\"\n    file     = \"f\"\n  }": "no output has one",
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
