package writer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var modes = []Mode{ModeSymlink, ModeRename, ModeInPlace}

func init() {
	if runtime.GOOS == "windows" { // where links need a privilege
		modes = []Mode{ModeRename, ModeInPlace}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A world is two sets of files of different authorities, so that no file of one
// fits one of the other, with one output for both.
type world struct {
	output    output
	federated []File
	old, new  []File
}

// newWorld makes the two. The new set lacks a file of the old one and has one
// that the old one lacks, some in a directory below.
func newWorld(t testing.TB, mode Mode) *world {
	t.Helper()
	a, b := newAuthority(t, "example.org"), newAuthority(t, "example.com")
	shared := newAuthority(t, "shared.example").bundle("shared.example/ca.pem")
	one, two := newAuthority(t, "one.example").bundle("one.example/ca.pem"), newAuthority(t, "two.example").bundle("two.example/ca.pem")
	return &world{
		output:    output{Spec: Spec{Publish: mode}},
		federated: []File{one, shared},
		old:       a.answer(t, one, shared),
		new:       b.answer(t, shared, two),
	}
}

// whole reports why a directory does not hold exactly one set, read by its
// visible names.
func whole(dir string, set fileSet) error {
	for _, f := range set.Files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil {
			return err
		}
		if !bytes.Equal(data, f.Data) {
			return fmt.Errorf("%s is not as published", f.Name)
		}
		info, err := os.Stat(filepath.Join(dir, f.Name))
		if err != nil {
			return err
		}
		if got := info.Mode().Perm(); !modeEqual(got, f.Mode) {
			return fmt.Errorf("%s has mode %04o and not %04o", f.Name, got, f.Mode)
		}
	}
	return nil
}

// holds reports why a directory does not hold exactly a set: nothing missing,
// nothing of another.
func holds(t testing.TB, dir string, set fileSet) error {
	t.Helper()
	if err := whole(dir, set); err != nil {
		return err
	}
	var want []string
	for _, f := range set.Files {
		want = append(want, f.Name)
	}
	slices.Sort(want)
	if got := visible(t, dir); !slices.Equal(got, want) {
		return fmt.Errorf("files %q and not %q", got, want)
	}
	return nil
}

// visible lists the visible names in a directory.
func visible(t testing.TB, dir string) (names []string) {
	t.Helper()
	var walk func(below string)
	walk = func(below string) {
		entries, err := os.ReadDir(filepath.Join(dir, below))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := filepath.ToSlash(filepath.Join(below, e.Name()))
			switch {
			case strings.HasPrefix(e.Name(), ".."):
			case e.IsDir():
				walk(name)
			default:
				names = append(names, name)
			}
		}
	}
	walk("")
	slices.Sort(names)
	return names
}

// readable lists the visible names that lead somewhere.
func readable(t testing.TB, dir string) (names []string) {
	t.Helper()
	for _, name := range visible(t, dir) {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// wholeBut is whole, but does not mind the modes that another helper had chosen.
func wholeBut(dir string, set fileSet, s situation) error {
	if s.name != "takeover" {
		return whole(dir, set)
	}
	for _, f := range set.Files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil {
			return err
		}
		if !bytes.Equal(data, f.Data) {
			return fmt.Errorf("%s is not as published", f.Name)
		}
	}
	return nil
}

// litter lists what nobody needs: everything of ours but the lock, the current
// generation and the list of names.
func litter(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	current, _ := os.Readlink(filepath.Join(dir, dataName))
	for _, e := range entries {
		switch name := e.Name(); {
		case !strings.HasPrefix(name, ".."), name == lockName, name == recordName, name == dataName, name == current:
		default:
			names = append(names, name)
		}
	}
	err = filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if strings.Contains(rel, "/") && strings.HasPrefix(e.Name(), tempName+"-") {
			names = append(names, rel)
		}
		if below, err := os.ReadDir(p); err == nil && len(below) == 0 && !strings.HasPrefix(rel, "..") {
			names = append(names, rel+", which is empty")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// verifies reports why certificate, key and bundle do not belong together.
func verifies(cert, key, bundle []byte) error {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return fmt.Errorf("no certificate in the bundle")
	}
	intermediates.AppendCertsFromPEM(cert)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// verifiesIn is verifies for the files of a directory.
func verifiesIn(dir string) error {
	var data [3][]byte
	for i, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		var err error
		if data[i], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return verifies(data[0], data[1], data[2])
}

// assertNowhere fails if any file below a directory holds these bytes.
func assertNowhere(t testing.TB, dir string, data []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		got, err := os.ReadFile(p)
		if err == nil && bytes.Equal(got, data) {
			t.Errorf("%s is still there", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
