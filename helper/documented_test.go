package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestRotationLineDocumented: docs/operation.md names every key of the line that a
// rotation is in the log.
func TestRotationLineDocumented(t *testing.T) {
	document, err := os.ReadFile("../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "\n## Logs\n")
	section, _, _ = strings.Cut(section, "\n## ")
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {}
  jwt_svid {
    audience = ["a"]
    file     = "a.jwt"
  }
}
hook "web" {
  on      = ["x509", "jwt"]
  command = ["true"]
}`, filepath.Join(t.TempDir(), "certs")))
	r.log.Await(t, 1, "msg=published", "audience=a")
	api.Rotate()
	r.log.Await(t, 1, "msg=published", "replaces=")
	keys := map[string]bool{}
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "msg=published") {
			for _, key := range regexp.MustCompile(`(?:^| )(\w+)=`).FindAllStringSubmatch(line, -1) {
				keys[key[1]] = true
			}
		}
	}
	for _, usual := range []string{"time", "level", "msg"} {
		delete(keys, usual)
	}
	if len(keys) < 9 {
		t.Errorf("only %v", keys)
	}
	for key := range keys {
		if !strings.Contains(section, "`"+key+"`") {
			t.Errorf("docs/operation.md does not name %s", key)
		}
		delete(keys, key)
	}
}
