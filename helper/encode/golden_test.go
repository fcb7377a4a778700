package encode

import (
	"bytes"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/writer"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden: each form of the same material is the same bytes as ever. A form that
// has salts is so too, after a restart as well.
func TestGolden(t *testing.T) {
	set, err := tryEncode(fixedEncoder(everyForm(), unpublished), fixed(t))
	must(t, err)
	golden := filepath.Join("testdata", "golden")
	if *update {
		must(t, os.RemoveAll(golden))
		must(t, os.MkdirAll(golden, 0o755))
	}
	for _, f := range set.Files {
		name := filepath.Join(golden, f.Name)
		if *update {
			must(t, os.WriteFile(name, f.Data, 0o644))
		}
		want, err := os.ReadFile(name)
		must(t, err)
		if !bytes.Equal(want, f.Data) {
			t.Errorf("%s is not what it was: -update rewrites it", f.Name)
		}
	}
	there, err := os.ReadDir(golden)
	must(t, err)
	if len(there) != len(set.Files) {
		t.Errorf("%d golden files for %d files", len(there), len(set.Files))
	}
}

// TestNothingIsRewritten: what an earlier run has published, salts and sequence
// numbers included, is not written again.
func TestNothingIsRewritten(t *testing.T) {
	o := everyForm()
	o.Dir = t.TempDir()
	dir, err := writer.Open(o.Spec, slog.New(slog.DiscardHandler))
	must(t, err)
	defer dir.Close()
	for run := range 3 {
		e := fixedEncoder(o, dir.Read)
		e.now = func() time.Time { return fixedTime.Add(time.Duration(run) * time.Hour) }
		set, err := tryEncode(e, fixed(t))
		must(t, err)
		change, err := dir.Publish(set.Files, nil)
		must(t, err)
		if first := run == 0; first != (len(change.Changed) == len(set.Files)) || !first && len(change.Changed) > 0 {
			t.Errorf("run %d has changed %q", run, change.Changed)
		}
		for _, f := range set.Files {
			if link, err := os.Lstat(filepath.Join(o.Dir, f.Name)); err != nil || link.Mode()&fs.ModeSymlink == 0 {
				t.Errorf("%s is not published: %v", f.Name, err)
			}
		}
	}
}
