package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// x509Names are the flat keys that make the least complete file.
const x509Names = `
svid_file_name = "svid.pem"
svid_key_file_name = "svid_key.pem"
svid_bundle_file_name = "svid_bundle.pem"
`

// parseOn parses as on another operating system.
func parseOn(goos, src string) (*Config, Diagnostics) {
	return Flags{}.parse("helper.conf", []byte(src), goos)
}

// parse parses as on that operating system.
func (f Flags) parse(filename string, src []byte, goos string) (*Config, Diagnostics) {
	c, _, ds := f.read(filename, src, goos)
	return c, ds
}

// mustParse fails the test unless src is a configuration without errors. It
// checks on the way that what is printed is read back.
func mustParse(t *testing.T, src string) (*Config, Diagnostics) {
	t.Helper()
	c, ds := parseOn("linux", src)
	if c == nil || ds.HasErrors() {
		t.Fatalf("unexpected errors in\n%s\n%v", src, ds)
	}
	checkRoundTrip(t, c)
	return c, ds
}

// checkRoundTrip prints c, parses that, and compares.
func checkRoundTrip(t *testing.T, c *Config) {
	t.Helper()
	printed := Print(c)
	again, ds := Flags{}.parse("printed.conf", printed, "linux")
	if again == nil {
		t.Fatalf("what was printed is refused: %v\n%s", ds, printed)
	}
	if d := diff(c, again); d != "" {
		t.Fatalf("printed and read back, the configuration differs (-before +after):\n%s\n%s", d, printed)
	}
}

// diff compares configurations; an empty list and none are the same.
func diff[T any](want, got T) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Config{}),
		cmp.Comparer(func(a, b spiffeid.ID) bool { return a == b }),
		cmp.Comparer(func(a, b spiffeid.TrustDomain) bool { return a == b }))
}

// has reports whether some diagnostic of that severity holds all of the texts.
func has(ds Diagnostics, severity Severity, texts ...string) bool {
next:
	for _, d := range ds {
		if d.Severity != severity {
			continue
		}
		for _, text := range texts {
			if !strings.Contains(d.String(), text) {
				continue next
			}
		}
		return true
	}
	return false
}
