package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestExample: helper.conf.example is accepted as it stands, and with each
// group of settings that it shows behind "#" set; and it shows every key.
func TestExample(t *testing.T) {
	t.Setenv("POD_NAME", "web-0")
	src, err := os.ReadFile("../../helper.conf.example")
	if err != nil {
		t.Fatal(err)
	}
	accepted := func(what, text string) {
		t.Helper()
		if c, diagnostics := (Flags{}).parse("helper.conf.example", []byte(text), "linux"); c == nil {
			t.Errorf("%s is not accepted:\n%s", what, diagnostics)
		}
	}
	accepted("the example", string(src))
	lines := strings.Split(string(src), "\n")
	begins, goesOn := regexp.MustCompile(`^\s*#\S`), regexp.MustCompile(`^\s*#(\S|  )`)
	groups := 0
	for begin := 0; begin < len(lines); begin++ {
		if !begins.MatchString(lines[begin]) {
			continue
		}
		set := slices.Clone(lines)
		end := begin
		for ; end < len(lines) && goesOn.MatchString(lines[end]); end++ {
			set[end] = strings.Replace(lines[end], "#", "", 1)
		}
		accepted("the example with\n"+strings.Join(set[begin:end], "\n"), strings.Join(set, "\n"))
		groups++
		begin = end
	}
	if groups < 40 {
		t.Errorf("the example shows %d groups of settings only", groups)
	}
	for _, b := range everyBlock() {
		for _, f := range b.fields {
			if !regexp.MustCompile(`(?m)^[^"\n]*\b` + f.key + `\b`).Match(src) {
				t.Errorf("the example does not show %s of %s", f.key, b.name)
			}
		}
	}
}

// TestWindowsExample: what a service of Windows starts from is accepted there.
func TestWindowsExample(t *testing.T) {
	src, err := os.ReadFile("../../examples/windows/windows.conf")
	if err != nil {
		t.Fatal(err)
	}
	if c, diagnostics := parseOn("windows", string(src)); c == nil || len(diagnostics) > 0 {
		t.Error(diagnostics)
	}
}
