package config

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse sees that any bytes give a configuration or errors, in bounded
// time, and that a configuration can be printed and read back.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	for _, t := range hostile {
		f.Add([]byte(t.open + t.text + t.text + t.close))
	}
	for _, fact := range fileSyntax {
		f.Add([]byte(fact.src + x509Names))
	}
	for _, fact := range rules {
		f.Add([]byte(fact.src))
	}
	samples, err := filepath.Glob("testdata/samples/*")
	if err != nil || len(samples) == 0 {
		f.Fatal("there are no samples", err)
	}
	for _, name := range samples {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var c *Config
		var ds Diagnostics
		for tries := 1; ; tries++ {
			start := spent()
			c, ds = Flags{}.parse("fuzz.conf", src, "linux")
			took := spent() - start
			if took <= maxTime*slack {
				break
			}
			if tries == 5 { // until then, the collector may have worked for others
				t.Fatalf("took %v", took)
			}
		}
		if (c == nil) != ds.HasErrors() {
			t.Fatalf("configuration %v, but\n%v", c != nil, ds)
		}
		for _, d := range ds {
			checkDiagnostic(t, d)
		}
		if c != nil {
			checkRoundTrip(t, c)
		}
	})
}
