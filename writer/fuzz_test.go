package writer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzNames has a name that CheckName accepts make a file in the directory it is
// relative to and nowhere else.
func FuzzNames(f *testing.F) {
	for _, name := range []string{
		"tls.crt", "a/b", "../x", "/x", "..data", "a/../../b", "", "{hint}/{id}", "a\\b", "a\x00", "ä", ".", "...", "a/.b",
	} {
		f.Add(name)
	}
	base, err := os.MkdirTemp("", "names")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(base) })
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName(name) == nil {
			checkStaysInside(t, base, name)
		}
	})
}

// checkStaysInside makes the file of a name, without the help of os.Root.
func checkStaysInside(t *testing.T, base, name string) {
	t.Helper()
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		t.Fatalf("%q leads out", name)
	}
	for element := range strings.SplitSeq(name, "/") {
		if element == "" || strings.HasPrefix(element, "..") || element == "." {
			t.Fatalf("%q has the element %q", name, element)
		}
	}
	dir, err := os.MkdirTemp(base, "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	p := filepath.Join(dir, name)
	if rel, err := filepath.Rel(dir, p); err != nil || filepath.ToSlash(rel) != name {
		t.Fatalf("%q is %q", name, rel)
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
		t.Fatalf("%q: %v", name, err)
	}
}

// FuzzRecords has lists of names read back as they were written, and nothing
// that is no name come out of bytes that nobody wrote.
func FuzzRecords(f *testing.F) {
	f.Add("a\nb/c\n")
	f.Add("../x\n\n/etc\n..data\na")
	f.Fuzz(func(t *testing.T, text string) {
		names := recorded(text)
		for _, name := range names {
			if err := CheckName(name); err != nil {
				t.Error(err)
			}
		}
		slices.Sort(names)
		if again := recorded(record(names)); !slices.Equal(again, names) {
			t.Errorf("%q became %q", names, again)
		}
	})
}
