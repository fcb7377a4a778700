package writer

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// trio is an output of certificate, key and bundle.
func trio(dir string) *Output {
	return &Output{Dir: dir, X509SVIDs: []X509SVID{{
		Cert: FileSpec{Name: "tls.crt"}, Key: FileSpec{Name: "tls.key"}, Bundle: FileSpec{Name: "ca.crt"},
	}}}
}

func open(t testing.TB, o *Output) *Dir {
	t.Helper()
	d, err := Open(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func encode(t testing.TB, s *snapshot.Snapshot, o *Output) Set {
	t.Helper()
	set, err := Encode(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func publish(t testing.TB, d *Dir, set Set) Change {
	t.Helper()
	change, err := d.Publish(set)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

// tree lists what is in a directory, ours included, with modes and targets.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		info, err := e.Info()
		if err != nil {
			return err
		}
		out.WriteString(info.Mode().String() + " " + rel)
		if target, err := os.Readlink(path); err == nil {
			out.WriteString(" -> " + target)
		} else if info.Mode().IsRegular() && rel != lockName {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %x", sha256.Sum256(data))
		}
		out.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPublishAndRotate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "tls")
	o := trio(dir)
	a := newAuthority(t, "example.org")
	d := open(t, o)

	first := a.answer(t)
	change := publish(t, d, encode(t, first, o))
	if want := snapshot.KindX509 | snapshot.KindBundle; change.Kinds != want || len(change.Files) != 3 {
		t.Errorf("first publish: %+v", change)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")); err != nil {
		t.Error(err)
	}
	if change := publish(t, d, encode(t, first, o)); !change.Empty() {
		t.Errorf("the same again: %+v", change)
	}
	before, err := os.Stat(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}

	second := a.answer(t)
	change = publish(t, d, encode(t, second, o))
	if change.Kinds != snapshot.KindX509 || len(change.Files) != 2 {
		t.Errorf("rotation: %+v", change)
	}
	after, err := os.Stat(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the unchanged bundle was written again")
	}
	d.Close()

	d = open(t, o)
	beforeRestart := tree(t, dir)
	if change := publish(t, d, encode(t, second, o)); !change.Empty() {
		t.Errorf("the same after a restart: %+v", change)
	}
	if after := tree(t, dir); after != beforeRestart {
		t.Errorf("a restart wrote again:\n%s\n%s", beforeRestart, after)
	}
}
