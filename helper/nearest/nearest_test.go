package nearest

import "testing"

func TestHint(t *testing.T) {
	for s, want := range map[string]string{
		"nginx":    "did you mean nginx?",
		"ngnix":    "did you mean nginx?", // neighbours that have changed places
		"ngnx":     "did you mean nginx?",
		"ngimx":    "did you mean nginx?",
		"postgres": "did you mean postgresql?",
		"x":        "see the list", // of two letters, any would be near
		"apache":   "see the list",
		"":         "see the list",
	} {
		if got := Hint(s, []string{"haproxy", "nginx", "postgresql", "y"}, "see the list"); got != want {
			t.Errorf("%q: %s", s, got)
		}
	}
}
