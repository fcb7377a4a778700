//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the manual pages and the completions")

// TestManuals: the manual pages and the completions say what the program says. It
// makes them of the tables of commands, flags and keys, and of the example.
func TestManuals(t *testing.T) {
	for name, want := range map[string]string{
		"man/svidhelper.1":           manual(t),
		"man/helper.conf.5":          configManual(t),
		"completion/svidhelper.bash": bashCompletion(t),
		"completion/_svidhelper":     zshCompletion(t),
		"completion/svidhelper.fish": fishCompletion(t),
	} {
		path := filepath.Join("../../docs", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is stale (%v); mend it with\n\tgo test ./cmd/svidhelper -run TestManuals -update", path, err)
		}
	}
}

// A flagText is a flag as -h shows it: its name, what its value is called, and
// what it does.
type flagText struct{ name, value, does string }

// flagsOf returns the flags that a command says it has.
func flagsOf(t *testing.T, c command) []flagText {
	t.Helper()
	var out, errs bytes.Buffer
	if code := c.run([]string{"-h"}, &out, &errs); code != exitOK {
		t.Fatalf("svidhelper %s -h: %d %s", c.name, code, errs.String())
	}
	var all []flagText
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if rest, found := strings.CutPrefix(line, "  -"); found {
			rest, does, _ := strings.Cut(rest, "\t") // a name of one letter
			name, value, _ := strings.Cut(rest, " ")
			all = append(all, flagText{name, value, does})
		} else if does, found := strings.CutPrefix(line, "    \t"); found {
			last := &all[len(all)-1]
			last.does = strings.TrimSpace(last.does + " " + does)
		}
	}
	return all
}

var special = strings.NewReplacer(`\`, `\e`, "-", `\-`)

// roff returns text in which roff finds nothing to do.
func roff(text string) string {
	text = special.Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// A page is a manual page under way.
type page struct{ strings.Builder }

func newPage(name, section, does string) *page {
	p := new(page)
	fmt.Fprintf(p, ".\\\" Made by TestManuals of cmd/svidhelper.\n.TH %s %s \"\" svidhelper\n.SH NAME\n%s \\- %s\n", strings.ToUpper(name), section, name, roff(does))
	return p
}

func (p *page) section(name, text string) {
	fmt.Fprintf(p, ".SH %s\n", name)
	if text != "" {
		fmt.Fprintln(p, strings.ReplaceAll(roff(text), "\n\n", "\n.PP\n"))
	}
}
func (p *page) sub(name string) { fmt.Fprintf(p, ".SS %s\n", roff(name)) }
func (p *page) item(tag, value, does string) {
	fmt.Fprintf(p, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(tag+" "+value)), roff(does))
}

// manual returns svidhelper(1).
func manual(t *testing.T) string {
	p := newPage("svidhelper", "1", "SPIFFE identities on disk, and the process told of every rotation")
	fmt.Fprintf(p, ".SH SYNOPSIS\n.B svidhelper\n%s\n", roff("[command] [flags] [-- cmd args]"))
	p.section("DESCRIPTION", "svidhelper fetches X.509-SVIDs, JWT-SVIDs and bundles from the SPIFFE Workload API, keeps them fresh on disk, runs a process on top of them, and makes every rotation reach it. Without a command it does what run does; under the name spiffe-helper it takes that program's flags and configuration.")
	p.section("COMMANDS", "Flags begin with one dash or two, and stand before other arguments.")
	for _, c := range commands() {
		p.sub(strings.TrimSpace(c.name + " " + c.synopsis))
		fmt.Fprintf(p, "%s\n", roff(c.does))
		for _, f := range flagsOf(t, c) {
			p.item("-"+f.name, f.value, f.does)
		}
	}
	p.section("EXIT STATUS", "")
	for _, s := range statuses {
		p.item(s.status, "", s.when)
	}
	_, prose, _ := strings.Cut(section(t, "Exit status"), "|\n\n")
	fmt.Fprintf(p, ".PP\n%s\n", roff(plain(prose)))
	p.section("ENVIRONMENT", "")
	p.item("SPIFFE_ENDPOINT_SOCKET", "", "The Workload API, where neither the configuration nor a flag says. Without it: /tmp/spire-agent/public/api.sock.")
	p.section("SEE ALSO", "helper.conf(5)")
	return p.String()
}

// configManual returns helper.conf(5).
func configManual(t *testing.T) string {
	p := newPage("helper.conf", "5", "the configuration of svidhelper")
	p.section("DESCRIPTION", "An HCL or JSON file, or one of spiffe-helper. svidhelper config check FILE says what is wrong with one, and svidhelper config init NAME prints one to start from. What follows is every setting, and then the commented example, with the defaults.")
	fmt.Fprint(p, ".SH SETTINGS\n")
	var out, errs bytes.Buffer
	if code := dispatch([]string{"svidhelper", "config", "schema"}, &out, &errs); code != exitOK {
		t.Fatal(errs.String())
	}
	var top schema
	if err := json.Unmarshal(out.Bytes(), &top); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	p.settings("At the top", &top, seen)
	example, err := os.ReadFile("../../helper.conf.example")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(p, ".SH EXAMPLE\n.nf\n%s.fi\n", roff(string(example)))
	p.section("SEE ALSO", "svidhelper(1)")
	return p.String()
}

// A schema is what of a JSON Schema tells settings.
type schema struct {
	Description string
	Properties  map[string]*schema
	AnyOf       []*schema
	Items       *schema
	Additional  json.RawMessage `json:"additionalProperties"`
}

// block returns the schema of what is in a block, or nil for a setting that is
// none.
func (s *schema) block() *schema {
	if s == nil {
		return nil
	}
	if len(s.Properties) > 0 {
		return s
	}
	for _, alternative := range append(s.AnyOf, s.Items) {
		if b := alternative.block(); b != nil {
			return b
		}
	}
	var named schema // output "NAME" is an object of objects
	if json.Unmarshal(s.Additional, &named) == nil {
		return named.block()
	}
	return nil
}

// settings writes those of a block, and after them its blocks. What has no
// description is spiffe-helper's.
func (p *page) settings(name string, s *schema, seen map[string]bool) {
	if !slices.ContainsFunc(slices.Collect(maps.Values(s.Properties)), func(s *schema) bool { return s.Description != "" }) {
		return
	}
	p.sub(name)
	keys := slices.Sorted(maps.Keys(s.Properties))
	for _, key := range keys {
		if does := s.Properties[key].Description; does != "" {
			p.item(key, "", does)
		}
	}
	for _, key := range keys {
		b := s.Properties[key].block()
		if b != nil && b.Properties["literal"] == nil && !seen[key] { // a file's own rights are no block
			seen[key] = true
			p.settings("In "+key, b, seen)
		}
	}
}

// TestManualsAreRoff: a formatter finds nothing wrong with the pages, but that they
// have no date, which would be stale.
func TestManualsAreRoff(t *testing.T) {
	need(t, "mandoc")
	odd := regexp.MustCompile(`(?m)^mandoc: .*(ERROR|UNSUPP|WARNING).*$`)
	for _, name := range []string{"svidhelper.1", "helper.conf.5"} {
		said := run(t, "sh", "-c", "mandoc -T lint -W warning ../../docs/man/"+name+" 2>&1 || true")
		for _, line := range odd.FindAllString(said, -1) {
			if !strings.Contains(line, "missing date") {
				t.Error(line)
			}
		}
	}
}
