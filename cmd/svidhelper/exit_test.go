//go:build unix

package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestExitStatuses: the table of docs/operation.md is the help's, and every line of it
// is what the program does.
func TestExitStatuses(t *testing.T) {
	var documented []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(section(t, "Exit status"), -1)[2:] {
		documented = append(documented, row[1]+": "+plain(row[2]))
	}
	var helped []string
	for _, s := range statuses {
		helped = append(helped, s.status+": "+s.when)
	}
	if d := cmp.Diff(documented, helped); d != "" {
		t.Errorf("(-docs +help)\n%s", d)
	}

	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	process := func(command ...string) []string {
		return append([]string{"run", "-agent-address", api.Addr(), "-dir", certs, "-on-rotation", "none", "--"}, command...)
	}
	ends := map[string][]struct {
		args []string
		want int
	}{
		"the process's own": {{process("sh", "-c", "exit 7"), 7}, {process("true"), 0}},
		"128 + N":           {{process("sh", "-c", "kill -TERM $$"), 143}, {process("sh", "-c", "kill -KILL $$"), 137}},
		"127":               {{process("no-such-command"), 127}},
		"126":               {{process(dir), 126}},
		"0":                 {{[]string{"fetch", "-agent-address", api.Addr(), "-dir", certs}, 0}, {[]string{"check", "-dir", certs}, 0}},
		"1":                 {{[]string{"check", "-dir", t.TempDir()}, 1}, {[]string{"run", "-config", filepath.Join(dir, "none")}, 1}, {[]string{"doctor", "-config", filepath.Join(dir, "none")}, 1}},
		"2":                 {{[]string{"run", "-wrong"}, 2}, {[]string{"wrong"}, 2}},
	}
	for _, s := range statuses {
		if len(ends[s.status]) == 0 {
			t.Errorf("nothing here ends with status %s", s.status)
		}
		for _, end := range ends[s.status] {
			cmd := exec.Command("svidhelper", end.args...)
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != end.want {
				t.Errorf("%q: exit status %d, want %d\n%s", end.args, got, end.want, out)
			}
		}
	}
}
