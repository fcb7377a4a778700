package child

import (
	"strings"
	"testing"
	"unicode"
)

func TestArgv(t *testing.T) {
	for _, c := range []struct {
		argv []string
		want string
	}{
		{[]string{"nginx", "-g", "daemon off;"}, `nginx -g "daemon off;"`},
		{[]string{"a", "", "b'c"}, `a "" "b'c"`},
		{[]string{"\x1b[31mred", "new\nline", "\xff"}, `"\x1b[31mred" "new\nline" "\xff"`},
	} {
		if got := Argv(c.argv); got != c.want {
			t.Errorf("%q is written %s, not %s", c.argv, got, c.want)
		}
	}
}

// TestArgvIsBounded: a configuration can have megabytes of arguments, and none of
// what does not print reaches a terminal.
func TestArgvIsBounded(t *testing.T) {
	for _, argv := range [][]string{
		{strings.Repeat("x", 1<<20)}, strings.Split(strings.Repeat("x ", 1<<20), " "), {strings.Repeat("\x1b", 1<<20)}, {strings.Repeat("\u00e4", 1<<20)},
	} {
		got := Argv(argv)
		if len(got) > mostArgv+len("...") || !strings.HasSuffix(got, "...") || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%d bytes: %.80q", len(got), got)
		}
	}
}
