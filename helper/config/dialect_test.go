package config

import "testing"

// Which dialect a file has is decided by the blocks that stand in it, and by nothing
// that only looks like one.
func TestDialect(t *testing.T) {
	const block = "output \"/d\" {\n  x509_svid {}\n}\n"
	for src, want := range map[string]Dialect{
		x509Names:                           SpiffeHelper,
		block:                               Native,
		x509Names + block:                   Native,
		block + x509Names:                   Native,
		"/*\n" + block + "*/\n" + x509Names: SpiffeHelper,
		"cmd_args = <<EOF\n" + block + "EOF\n" + x509Names:                     SpiffeHelper,
		"hint =\noutput\n" + x509Names:                                         SpiffeHelper, // a value, if one that lacks its quotes
		"health_checks {\nlog = 1\n}\n" + x509Names:                            SpiffeHelper,
		"log {}\n" + x509Names:                                                 Native,
		"events = \"$${\"\n" + block:                                           Native, // HCL 1 sees a string that is never closed
		"events = \"/run/$${a}\"\ntimeout = coalesce(env.A, \"1s\")\n" + block: Native,
		`{"hint": "output", "jwt_bundle_file_name": "b"}`:                      SpiffeHelper,
		`{"hint": {"output": 1}, "jwt_bundle_file_name": "b"}`:                 SpiffeHelper,
		`{"output": {"/d": {"x509_svid": {}}}}`:                                Native,
		"\x00":                                                                 Unread,
	} {
		if _, got, ds := (Flags{}).read("helper.conf", []byte(src), "linux"); got != want {
			t.Errorf("%q is read as %q\n%v", src, got, ds)
		}
	}
}
