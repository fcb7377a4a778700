package main

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/svidhelper/svidhelper/"

// TestImports holds the borders between the parts: there is one way through,
// and no short cut. The reason stands with each rule, for the author whose
// import it stops.
func TestImports(t *testing.T) {
	rules := []struct{ from, to, why string }{
		{"writer", "supervisor", "the writer knows no process"},
		{"writer", "helper/", "the writer takes files, whatever is in them"},
		{"writer", "github.com/spiffe/", "the writer knows no SPIFFE"},
		{"helper/encode", "helper/source", "what is encoded are snapshots, wherever they come from"},
		{"helper/encode", "helper/config", "configuration is in the encoder's terms, not the other way round"},
		{"helper/encode", "supervisor", "files are encoded for any reader"},
		{"supervisor", "writer", "the supervisor knows no files"},
		{"supervisor", "helper/", "the supervisor knows no SPIFFE"},
		{"supervisor", "github.com/spiffe/", "the supervisor knows no SPIFFE"},
		{"helper/source", "helper/encode", "the source never waits for keystores"},
		{"supervisor/hook", "writer", "a hook knows no files"},
		{"supervisor/hook", "helper/", "a hook knows no SPIFFE"},
		{"helper/source", "writer", "the source never waits for a disk"},
		{"helper/source", "supervisor", "the source never waits for a process"},
		{"helper/snapshot", "helper/source", "a snapshot does not know where it comes from"},
		{"helper/trust", "helper/encode", "what is trusted is decided before it is encoded"},
		{"helper/trust", "writer", "what is trusted does not depend on a disk"},
		{"helper/devapi", "helper/", "the tests' Workload API must not share the code that it tests"},
		{"helper/check", "helper/", "files are checked whichever tool has written them"},
		{"helper/check", "writer", "what is checked are bytes, wherever they are"},
		{"helper/proof", "writer", "a proof looks from outside, at what is served"},
		{"helper/source", "helper/health", "a part hands its status on, and does not ask what becomes of it"},
		{"helper/publish", "helper/health", "a part hands its status on, and does not ask what becomes of it"},
		{"helper/notify", "helper/health", "a part hands its status on, and does not ask what becomes of it"},
		{"helper/publish", "helper/notify", "what is on disk does not depend on what is told of it"},
		{"helper/publish", "supervisor", "the publisher knows targets, whatever they are"},
	}
	deps := dependencies(t)
	for _, r := range rules {
		for pkg, imports := range deps {
			if pkg != module+r.from {
				continue
			}
			for _, imported := range imports {
				hit := strings.TrimPrefix(imported, module)
				if hit == "helper/printable" && r.to == "helper/" {
					continue // knows nothing but text
				}
				if hit == "helper/unseal" && r.from == "helper/check" {
					continue // opens what any tool has written, and writes nothing
				}
				if imported != pkg && strings.HasPrefix(hit, r.to) {
					t.Errorf("%s depends on %s: %s", r.from, hit, r.why)
				}
			}
		}
	}
	for pkg, imports := range deps {
		for _, imported := range imports {
			if strings.HasPrefix(imported, "testing") && pkg != module+"helper/testbed" {
				t.Errorf("%s depends on %s: tests stay out of the product", pkg, imported)
			}
		}
	}
}

// dependencies maps each of our packages to all that it depends on, tests left
// out.
func dependencies(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, "../../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		deps[fields[0]] = fields[1:]
	}
	if len(deps) < 10 {
		t.Fatalf("go list found %d packages only", len(deps))
	}
	return deps
}
