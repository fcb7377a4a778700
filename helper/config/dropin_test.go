package config

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
)

// splitCSV is what spiffe-helper does with cmd_args.
func splitCSV(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	r := csv.NewReader(strings.NewReader(s))
	r.Comma = ' '
	return r.Read()
}

func FuzzSplitArgs(f *testing.F) {
	for _, s := range []string{
		"", " ", "  ", "a", "a b", "a  b", " a ", `"a b" c`, `"a ""b"" c"`, `"a`, `a"b`, `"a"b`, `""`, `"" ""`, `"""`, `""""`,
		"a\nb", "\n\na b\n\nc", "a\r\nb", "a\r", "\r", "\r\n", "\n", "a \n", "a \r\nb", "\"a\nb\" c", "\"a\r\nb\" c", "\"a\r", "\"a\"\r", "\"a\"\r\n", "a\r\r\n",
		"\"\n", "\"a\n\"\"\n\" b", "é ü", "\xff \xfe", "a\x00b", `-c "echo 'x'"`, `$$ ${x} *`, "\"\r\"", "\"a\" \"\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, _, err := splitArgs(s)
		want, wantErr := splitCSV(s)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("splitArgs(%q) = %q, %v; encoding/csv gives %q, %v", s, got, err, want, wantErr)
		}
		if err == nil && !slices.Equal(got, want) {
			t.Fatalf("splitArgs(%q) = %q; encoding/csv gives %q", s, got, want)
		}
	})
}
