package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSamples parses files as users have them, without a warning, and compares their native form with the golden one.
func TestSamples(t *testing.T) {
	paths, err := filepath.Glob("testdata/samples/*.conf")
	if err != nil || len(paths) < 11 {
		t.Fatalf("%d samples, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".conf")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c, ds := mustParse(t, string(src))
			if len(ds) > 0 {
				t.Errorf("unexpected:\n%v", ds)
			}
			golden := filepath.Join("testdata/native", name+".conf")
			if *update {
				if err := os.WriteFile(golden, Print(c), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(Print(c))); d != "" {
				t.Errorf("the native form differs (-golden +now):\n%s", d)
			}
		})
	}
}

func TestSamplesMean(t *testing.T) {
	sample := func(name string) *Config {
		c, ds := new(Loader).Load(Flags{}, filepath.Join("testdata/samples", name+".conf"))
		if c == nil {
			t.Fatal(ds)
		}
		return c
	}
	command("/usr/bin/mysql", "-u", "root", "-e", "ALTER INSTANCE RELOAD TLS;")(t, sample("mysql"))
	command("/usr/bin/psql", "-d", "postgres", "-c", "SELECT pg_reload_conf()")(t, sample("postgresql"))
	if c := sample("kubernetes-one-shot"); !c.OneShot || c.Process != nil || len(c.Hooks) != 0 {
		t.Errorf("one-shot: %+v", c)
	}
	if c := sample("jwt-only"); len(c.Outputs[0].X509SVIDs) != 0 || len(c.Outputs[0].JWTSVIDs) != 2 {
		t.Errorf("JWT only: %+v", c.Outputs)
	}
	served(":8082", "/live", "/ready")(t, sample("health-checks"))
}
