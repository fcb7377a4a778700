//go:build unix

package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestReloadOnHangup: without a process, SIGHUP has a file read that changed
// where no watch sees it. With one, SIGHUP is the process's.
func TestReloadOnHangup(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	text := func(name string) []byte {
		return fmt.Appendf(nil, "output %q {\n x509_svid {}\n}\n", filepath.Join(dir, name))
	}
	file := filepath.Join(t.TempDir(), "helper.conf")
	if err := os.WriteFile(file, text("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "the same file") // its directory is not watched
	if err := os.Link(file, elsewhere); err != nil {
		t.Fatal(err)
	}
	r := startDaemonAt(t, api, file)
	r.log.Await(t, 1, "published", "/a")
	eventually(t, func() error {
		if r.reads.Load() < 2 {
			return notYet("not read again at the start")
		}
		return nil
	})
	if err := os.WriteFile(elsewhere, text("b"), 0o644); err != nil {
		t.Fatal(err)
	}
	pass(3 * settle)
	if strings.Contains(r.log.String(), "in effect") {
		t.Fatal("the change was seen; this test needs one that is not")
	}
	hangup := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangup()
	r.log.Await(t, 1, "published", "/b")

	record := filepath.Join(dir, "record")
	r.write(string(text("b")) + childProcess(t, record, ""))
	r.log.Await(t, 2, "in effect")
	awaitStarted(t, record)
	hangup()
	eventually(t, func() error {
		if !strings.Contains(read(record), "hangup") {
			return notYet("SIGHUP has not reached the process")
		}
		return nil
	})
	if n := strings.Count(r.log.String(), "in effect"); n != 2 {
		t.Errorf("the configuration was exchanged %d times, not twice", n)
	}
}
