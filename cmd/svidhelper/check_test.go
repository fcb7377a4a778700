//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// TestDocumentedCheck: what docs/operation.md says that check prints is what it prints,
// but for what is different each time.
func TestDocumentedCheck(t *testing.T) {
	api, err := devapi.New(devapi.Config{ManualRotation: true})
	if err != nil {
		t.Fatal(err)
	}
	short, err := os.MkdirTemp("", "api-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	if err := api.Start("unix://" + filepath.Join(short, "api.sock")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	}()
	dir := t.TempDir()
	if out, err := exec.Command("svidhelper", "fetch", "-agent-address", api.Addr(), "-dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("fetch: %v\n%s", err, out)
	}
	out, err := exec.Command("svidhelper", "check", "-dir", dir).Output()
	if err != nil {
		t.Fatalf("check: %v\n%s", err, out)
	}
	_, block, _ := strings.Cut(section(t, "Can it be used?"), "```text\n/tmp/certs/svid.pem:")
	block, _, found := strings.Cut("/tmp/certs/svid.pem:"+block, "```")
	if !found {
		t.Fatal("docs/operation.md has no output of check")
	}
	if d := cmp.Diff(always(block), always(strings.ReplaceAll(string(out), dir, "/tmp/certs"))); d != "" {
		t.Errorf("(-docs +check)\n%s", d)
	}
}

// always replaces what is different each time.
func always(text string) string {
	for _, r := range []struct{ pattern, by string }{
		{`serial [0-9A-F]+`, "serial"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "TIME"},
		{`\d+m\d+s left|1h0m0s left`, "REST left"},
		{` +`, " "},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.by)
	}
	return text
}
