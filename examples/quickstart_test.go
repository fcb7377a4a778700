//go:build linux

package examples_test

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// TestDemo watches the demo on a terminal until a rotation has arrived, then
// types Ctrl-C.
func TestDemo(t *testing.T) {
	t.Parallel() // it waits for the clock
	cmd := exec.Command("sh", "quickstart/demo.sh", svidhelper)
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	timeout := time.AfterFunc(4*time.Minute, func() { _ = cmd.Process.Kill(); tty.Close() })
	defer timeout.Stop()

	var said strings.Builder
	awaited := []string{"started: now serving spiffe://example.org/quickstart", "rotated", "published", "process told of the rotation", "told to reload: now serving"}
	lines := bufio.NewScanner(tty)
	for len(awaited) > 0 && lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), awaited[0]) {
			awaited = awaited[1:]
		}
	}
	if len(awaited) > 0 {
		t.Fatalf("the demo never said %q:\n%s", awaited[0], said.String())
	}
	if _, err := tty.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, said.String())
	}
	for _, served := range regexp.MustCompile(`now serving \S+, serial (\w+),`).FindAllStringSubmatch(said.String(), -1) {
		if strings.Count(said.String(), served[1]) < 2 {
			t.Errorf("the service serves %s, of which svidhelper says nothing:\n%s", served[1], said.String())
		}
	}
	if !strings.Contains(said.String(), "good bye") {
		t.Errorf("the service did not end by itself:\n%s", said.String())
	}
}

// TestConfigurations checks every configuration that users are told to copy.
func TestConfigurations(t *testing.T) {
	files := []string{"../helper.conf.example"}
	for _, pattern := range []string{"*/helper*.conf", "*/spiffe-helper.conf", "systemd/[hn]*.conf"} {
		files = append(files, glob(t, pattern)...)
	}
	for _, document := range []string{"../README.md", "../docs/configuration.md", "../docs/migration.md", "../docs/templates.md"} {
		for i, block := range fenced(t, document, "hcl") {
			path := adaptText(t, block, t.TempDir(), "helper.conf")
			t.Logf("block %d of %s is %s", i, document, path)
			files = append(files, path)
		}
	}
	for _, file := range files {
		out, err := exec.Command(svidhelper, "config", "check", file).CombinedOutput()
		if err != nil || strings.Contains(string(out), "warning") {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// fenced returns the code blocks of a language in a Markdown file.
func fenced(t *testing.T, file, language string) (blocks []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rest := string(b)
	for {
		_, after, found := strings.Cut(rest, "```"+language+"\n")
		if !found {
			break
		}
		block, after, _ := strings.Cut(after, "```")
		blocks, rest = append(blocks, block), after
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no %s block", file, language)
	}
	return blocks
}
