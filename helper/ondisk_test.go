package helper

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// certificates returns the certificates of a PEM file.
func certificates(t *testing.T, path ...string) []*x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return parseCertificates(t, b)
}

func parseCertificates(t *testing.T, b []byte) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return certs
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
}

// leafOnDisk returns the first certificate of a PEM file.
func leafOnDisk(t *testing.T, path ...string) *x509.Certificate {
	t.Helper()
	return certificates(t, path...)[0]
}

// awaitOneGeneration waits until no generation but the published one is left.
func awaitOneGeneration(t *testing.T, dir string) {
	t.Helper()
	eventually(t, func() error {
		all, err := filepath.Glob(filepath.Join(dir, "..gen-*"))
		if err != nil || len(all) != 1 {
			return notYet("generations: %q %v", all, err)
		}
		return nil
	})
}

// snapshotDir returns all there is in a directory: names, modes, times, and what
// is in the files and links.
func snapshotDir(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		var content string
		switch info.Mode().Type() {
		case 0:
			content = read(path)
		case fs.ModeSymlink:
			content, err = os.Readlink(path)
		}
		all[path] = fmt.Sprintf("%v %v %s", info.Mode(), info.ModTime().UnixNano(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// differences names what differs between two snapshots of a directory.
func differences(before, after map[string]string) []string {
	var names []string
	for name := range before {
		if after[name] != before[name] {
			names = append(names, name)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
