package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse sees that any bytes give a configuration or errors, in bounded
// time, and that a configuration can be printed and read back.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte("A<< \x10"))
	f.Add([]byte("<<\r"))
	f.Add([]byte("\nA0"))
	f.Add([]byte("\"\a\""))
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

// FuzzHCL1 sees that what HCL 1 accepts, and spiffe-helper's rules, is accepted
// and means the same.
func FuzzHCL1(f *testing.F) {
	for _, fact := range fileSyntax {
		f.Add(fact.src + x509Names)
	}
	for n, s := range settings() {
		f.Add(write(n, []setting{s}) + x509Names)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 1<<12 {
			return
		}
		want, err := readTheirs(src)
		c, dialect, ds := Flags{}.read("fuzz.conf", []byte(src), "linux")
		if err != nil || dialect == Native {
			return
		}
		if c == nil {
			if !refusedOnPurpose(ds) {
				t.Fatalf("spiffe-helper accepts\n%s\n%v", src, ds)
			}
			return
		}
		if d := cmp.Diff(want.meaning(), c.meaning()); d != "" {
			t.Fatalf("the meaning differs (-spiffe-helper +ours):\n%s\n%s", d, src)
		}
	})
}

// refusedOnPurpose reports whether an error is one that spiffe-helper does not
// have at the start.
func refusedOnPurpose(ds Diagnostics) bool {
	for _, text := range []string{"unknown key", "file name", "already", "directory of", "never closed", "close", "UTF-8", "not text", "control character", "zero byte", "agent_address", "liveness_path", "readiness_path", "bind_port",
		"log_level", "publish", "nested", "words", "heredocs", "holds no arguments", "has no label", "timeout", "events", "revo"} {
		if has(ds, Error, text) {
			return true
		}
	}
	return false
}

// FuzzHCL2 sees that what is printed is read by HCL 2 as the same, variables
// and all, and that no bytes behind a block of ours do more than give an error.
func FuzzHCL2(f *testing.F) {
	for _, line := range []string{`hint = env.A`, `hint = "x${coalesce(env.B, "d")}"`, "hint = <<E\n${env.A}\nE", `hint = "$${x}"`, `allow = ["a", env.A]`, `key = { file = "k", mode = 0600 }`, "pkcs12 {\n file = \"p\"\n password = env.A\n}"} {
		f.Add(line)
	}
	f.Setenv("A", "spiffe://a/b")
	f.Fuzz(func(t *testing.T, line string) {
		c, ds := parseOn("linux", native(line))
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
