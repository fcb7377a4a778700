package helper

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// TestEvents: the same lines in the file and on a hook's standard input.
func TestEvents(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	file, stdin := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "stdin.jsonl")
	certs := filepath.Join(dir, "certs")
	startDaemon(t, api, fmt.Sprintf(`
events = %q
output %q {
  x509_svid {}
}
hook "copy" {
  command = ["sh", "-c", "cat >> $0; env | grep ^SVIDHELPER_ >> $0.env", %q]
}
hook "fails" {
  command = ["false"]
}
`, file, certs, stdin)+childProcess(t, filepath.Join(dir, "record"), ""))

	var seen []events.Event
	awaitEvent := func(what string, is func(events.Event) bool) events.Event {
		t.Helper()
		var found events.Event
		eventually(t, func() error {
			seen = parseEvents(t, read(file))
			i := slices.IndexFunc(seen, is)
			if i < 0 {
				return notYet("no event: %s in\n%s", what, read(file))
			}
			found = seen[i]
			return nil
		})
		return found
	}
	published := awaitEvent("published", func(e events.Event) bool { return e.Event == events.Published })
	leaf := api.SVIDs()[0].Certificates[0]
	want := events.Event{
		Time: published.Time, Event: "published", Output: certs, Kinds: []string{"x509", "bundle"},
		Files: []string{"svid.pem", "svid_bundle.pem", "svid_key.pem"},
		Identities: []events.Identity{{
			Kind: "x509_svid", SPIFFEID: "spiffe://example.org/workload",
			Serial: snapshot.Serial(leaf.SerialNumber), Expires: leaf.NotAfter,
		}},
	}
	if !reflect.DeepEqual(published, want) {
		t.Errorf("published:\n%+v, want\n%+v", published, want)
	}
	for _, target := range []string{"process", "copy"} {
		awaitEvent(target+" notified", func(e events.Event) bool { return e.Event == events.Notified && e.Target == target })
	}
	failed := awaitEvent("a failure", func(e events.Event) bool { return e.Event == events.Failed })
	if failed.Target != "fails" || failed.Failed != "notify" || failed.Error == "" {
		t.Errorf("failed: %+v", failed)
	}
	if got := parseEvents(t, read(stdin)); len(got) != 1 || got[0].Identities[0] != published.Identities[0] {
		t.Errorf("standard input: %s", read(stdin))
	}
	if !strings.Contains(read(file), read(stdin)) {
		t.Errorf("standard input, %s, is not a line of the file:\n%s", read(stdin), read(file))
	}
	for _, pair := range []string{
		"SVIDHELPER_OUTPUT=" + certs,
		"SVIDHELPER_KINDS=x509,bundle",
		"SVIDHELPER_SPIFFE_ID=spiffe://example.org/workload",
		"SVIDHELPER_SERIAL=" + published.Identities[0].Serial,
		"SVIDHELPER_FILES=" + certs + "/svid.pem," + certs + "/svid_bundle.pem," + certs + "/svid_key.pem",
	} {
		eventually(t, func() error {
			if !strings.Contains(read(stdin+".env"), pair+"\n") {
				return notYet("no %s in %s", pair, read(stdin+".env"))
			}
			return nil
		})
	}
	if strings.Contains(read(file), "PRIVATE") {
		t.Error("a key among the events")
	}
}

func parseEvents(t *testing.T, text string) []events.Event {
	t.Helper()
	var seen []events.Event
	for line := range strings.Lines(text) {
		var e events.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			continue // being written, or not there yet
		}
		seen = append(seen, e)
	}
	return seen
}

// TestEventsDocumented: docs/operation.md names every field.
func TestEventsDocumented(t *testing.T) {
	document, err := os.ReadFile("../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "\n## Events\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, typ := range []reflect.Type{reflect.TypeFor[events.Event](), reflect.TypeFor[events.Identity]()} {
		for f := range typ.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !strings.Contains(section, "`"+name+"`") {
				t.Errorf("docs/operation.md does not name the event field %s", name)
			}
		}
	}
}
