package notify

import (
	"os"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/publish"
)

// TestEnvironmentDocumented: docs/configuration.md names every variable that a hook's
// command gets.
func TestEnvironmentDocumented(t *testing.T) {
	document, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	n := notice(publish.Change{})
	names := make([]string, 0, 5)
	for _, pair := range n.Env {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	for _, l := range n.Lists {
		names = append(names, l.Name)
	}
	if len(names) < 5 {
		t.Errorf("only %q", names)
	}
	for _, name := range names {
		if !strings.Contains(string(document), "`"+name+"`") {
			t.Errorf("docs/configuration.md does not name %s", name)
		}
	}
}
