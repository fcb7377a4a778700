//go:build unix

package writer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestNames: the names of what is published are known, to a Dir that is opened later
// too, and no others: neither those of another set, nor of what went, nor of strangers.
func TestNames(t *testing.T) {
	for _, mode := range []Mode{ModeSymlink, ModeRename, ModeInPlace} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			dir := t.TempDir()
			file := func(name string) File { return File{Name: name, Data: []byte("x"), Mode: 0o644} }
			o, other := &output{Spec: Spec{Dir: dir, Publish: mode}}, &output{Spec: Spec{Dir: dir, Publish: mode, Set: "other"}}
			d := open(t, o)
			publish(t, d, fileSet{Files: []File{file("a"), file("sub/b"), file("gone")}})
			publish(t, d, fileSet{Files: []File{file("a"), file("sub/b")}})
			publish(t, open(t, other), fileSet{Files: []File{file("others")}})
			must(t, os.WriteFile(filepath.Join(dir, "stranger"), []byte("x"), 0o644))
			must(t, d.Close())
			if _, err := d.Names(); !errors.Is(err, errClosed) {
				t.Errorf("closed: %v", err)
			}
			again := open(t, o)
			names, err := again.Names()
			must(t, err)
			if slices.Sort(names); !slices.Equal(names, []string{"a", "sub/b"}) {
				t.Errorf("the names are %q", names)
			}
			for _, name := range names {
				if data, err := again.Read(name); string(data) != "x" {
					t.Errorf("%s: %q, %v", name, data, err)
				}
			}
		})
	}
	if names, err := open(t, &output{Spec: Spec{Dir: t.TempDir()}}).Names(); len(names) > 0 || err != nil {
		t.Errorf("nothing is published: %q, %v", names, err)
	}
}
