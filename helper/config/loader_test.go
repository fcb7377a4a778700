package config

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLoader: a file that says the same again is the same configuration, and costs
// no parser; whatever else happens to it is seen.
func TestLoader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "helper.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = "output \"/run/tls\" {\n x509_svid {}\n}\n"
	var l Loader
	load := func() *Config {
		t.Helper()
		c, ds := l.Load(Flags{}, file)
		if (c == nil) != ds.HasErrors() {
			t.Fatalf("%v, %v", c, ds)
		}
		return c
	}
	write(text)
	first := load()
	if first == nil || load() != first {
		t.Fatal("the same file is another configuration")
	}
	write(text + "#")
	if second := load(); second == nil || second == first {
		t.Error("another file is the same configuration")
	}
	write("output {")
	for range 2 {
		if load() != nil {
			t.Error("what is not valid is a configuration")
		}
	}
	write(text)
	if c := load(); c == nil || c.Outputs[0].Dir != "/run/tls" {
		t.Errorf("the file is valid again, and loads as %v", c)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if load() != nil {
		t.Error("a file that is gone is a configuration")
	}
}
