package publish

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// TestRefusedExchangeLeavesNothingClosed: an exchange that is refused after the
// outputs before were closed, and a directory that cannot be opened for a while,
// cost no rotation later.
func TestRefusedExchangeLeavesNothingClosed(t *testing.T) {
	api, _ := devapitest.New(t, devapi.Config{ManualRotation: true})
	own, err := api.X509Bundles().GetX509BundleForTrustDomain(devapi.DefaultID.TrustDomain())
	if err != nil {
		t.Fatal(err)
	}
	dir, taken := filepath.Join(t.TempDir(), "certs"), filepath.Join(t.TempDir(), "taken")
	log := slog.New(slog.DiscardHandler)
	outputs := func(text string) []encode.Output {
		c, diagnostics := config.Parse("helper.conf", []byte(text))
		if err := diagnostics.Err(); err != nil {
			t.Fatal(err)
		}
		return c.Outputs
	}
	first := outputs(fmt.Sprintf("output %q {\n x509_svid {}\n}", dir))
	running, err := exchange(nil, first, events.New("", log), log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closeAll(running) }()
	rotates := func(when string) {
		t.Helper()
		var change Change
		svid := snapshot.X509SVID{SVID: api.Rotate()[0], Bundle: own}
		running[0].publish(&snapshot.Snapshot{X509: &snapshot.X509{SVIDs: []snapshot.X509SVID{svid}}}, false, &change)
		if running[0].err != nil || len(change.Outputs) != 1 {
			t.Errorf("%s: %v, %d changes", when, running[0].err, len(change.Outputs))
		}
	}
	rotates("at first")

	second := outputs(fmt.Sprintf("output %q {\n key_mode = 0640\n x509_svid {}\n}\noutput %q {\n x509_svid {}\n}", dir, taken))
	other, err := writer.Open(second[1].Spec, log)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if running, err = exchange(running, second, events.New("", log), log); err == nil {
		t.Fatal("a directory that another helper has was taken")
	}
	rotates("after an exchange that was refused")

	// While the directory is something else, it cannot be opened.
	if err := running[0].close(); err != nil {
		t.Fatal(err)
	}
	aside := dir + ".aside"
	for _, err := range []error{os.Rename(dir, aside), os.WriteFile(dir, nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	running[0].publish(&snapshot.Snapshot{}, true, &Change{})
	if running[0].err == nil {
		t.Error("a file was published in")
	}
	for _, err := range []error{os.Remove(dir), os.Rename(aside, dir)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	rotates("after the directory is back")
}
