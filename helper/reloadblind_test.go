package helper

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/svidhelper/svidhelper/fswatch"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestReloadWithoutInotify: the user is out of inotify instances, and a changed
// configuration takes effect nevertheless.
func TestReloadWithoutInotify(t *testing.T) {
	real := newWatcher
	newWatcher = func() (*fswatch.Watcher, error) { return nil, errors.New("too many open files") }
	t.Cleanup(func() { newWatcher = real })
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	output := func(name string) string {
		return fmt.Sprintf("output %q {\n x509_svid {}\n}\n", filepath.Join(dir, name))
	}
	r := startDaemon(t, api, output("a"))
	r.log.Await(t, 1, "published", "/a")
	r.write(output("a") + output("b"))
	r.log.Await(t, 1, "published", "/b")
	r.write(output("c"))
	r.log.Await(t, 1, "published", "/c")
}
