package config

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// TestMistakes compares what is said about likely mistakes with a golden file
// that is meant to be read.
func TestMistakes(t *testing.T) {
	const golden = "testdata/mistakes.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		in, want := archive.Files[i], &archive.Files[i+1]
		name := strings.TrimSuffix(in.Name, ".conf")
		t.Run(name, func(t *testing.T) {
			if want.Name != name+".want" {
				t.Fatalf("%s is followed by %s", in.Name, want.Name)
			}
			_, ds := Flags{}.parse(in.Name, in.Data, "linux")
			if len(ds) == 0 {
				t.Error("nothing is said")
			}
			if *update {
				want.Data = []byte(ds.String())
			} else if d := cmp.Diff(string(want.Data), ds.String()); d != "" {
				t.Errorf("what is said differs (-golden +now):\n%s", d)
			}
		})
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
