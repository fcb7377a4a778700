package writer

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
	change := publish(t, d, wanted(first, o))
	if change.names() != "ca.crt tls.crt tls.key" {
		t.Errorf("first publish: %+v", change)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")); err != nil {
		t.Error(err)
	}
	if change := publish(t, d, wanted(first, o)); !unchanged(change) {
		t.Errorf("the same again: %+v", change)
	}
	before, err := os.Stat(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}

	second := a.answer(t)
	change = publish(t, d, wanted(second, o))
	if change.names() != "tls.crt tls.key" {
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
	if change := publish(t, d, wanted(second, o)); !unchanged(change) {
		t.Errorf("the same after a restart: %+v", change)
	}
	if after := tree(t, dir); after != beforeRestart {
		t.Errorf("a restart wrote again:\n%s\n%s", beforeRestart, after)
	}
}
