//go:build unix

package helper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/svidhelper/svidhelper/helper/ask"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestAskedWhetherReady: the sockets beside two sets in one directory answer as
// /ready does, come back when another program removes them, and go with the daemon.
func TestAskedWhetherReady(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	api.Down()
	certs := filepath.Join(t.TempDir(), "certs")
	r := startDaemon(t, api, fmt.Sprintf(`
output %[1]q {
  x509_svid {}
}
output %[1]q {
  set = "b"
  x509_svid {
    bundle = "b.pem"
  }
}`, certs))
	awaitAnswer := func(set string, is func(ask.Answer) bool) (a ask.Answer) {
		t.Helper()
		eventually(t, func() (err error) {
			if a, err = ask.Ask(t.Context(), certs, set, ask.Ready); err != nil {
				return err
			}
			if !is(a) {
				return notYet("%+v", a)
			}
			return nil
		})
		return a
	}
	for _, set := range []string{"", "b"} {
		a := awaitAnswer(set, func(a ask.Answer) bool { return len(a.Reasons) > 0 && strings.Contains(a.Reasons[0], "no socket at") })
		if a.Ready {
			t.Errorf("set %q: ready without a Workload API: %+v", set, a)
		}
	}
	if err := api.Up(); err != nil {
		t.Fatal(err)
	}
	ready := func(a ask.Answer) bool { return a.Ready && len(a.Reasons) == 0 }
	awaitAnswer("", ready)
	awaitAnswer("b", ready)

	for _, name := range []string{"..ask", "..ask.b", "svid.pem"} { // of the last one the daemon hears
		if err := os.Remove(filepath.Join(certs, name)); err != nil {
			t.Fatal(err)
		}
	}
	awaitAnswer("", ready)
	awaitAnswer("b", ready)

	r.stop()
	if err := r.end(); err != nil {
		t.Error(err)
	}
	for _, set := range []string{"", "b"} {
		if _, err := ask.Ask(t.Context(), certs, set, ask.Ready); err == nil || !strings.Contains(err.Error(), "no svidhelper publishes here") {
			t.Errorf("after the end: %v", err)
		}
	}
}

// TestDirectoryWithoutRoomForASocket: a daemon that cannot make one works all the
// same, and says what to probe instead.
func TestDirectoryWithoutRoomForASocket(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	certs := filepath.Join(t.TempDir(), "certs")
	if err := os.MkdirAll(filepath.Join(certs, "..ask"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}", certs))
	r.log.Await(t, 1, "check -ready cannot ask here", "/ready of health")
	r.log.Await(t, 1, "published")
	api.Rotate()
	r.log.Await(t, 2, "published")
	if info, err := os.Lstat(filepath.Join(certs, "..ask")); errors.Is(err, fs.ErrNotExist) || !info.IsDir() {
		t.Errorf("what another program has put there: %v, %v", info, err)
	}
	if n := strings.Count(r.log.String(), "check -ready cannot ask here"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestLogLevelAtRunTime: through the socket, and by SIGUSR2 where there is no
// process that it would be for.
func TestLogLevelAtRunTime(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	certs := filepath.Join(t.TempDir(), "certs")
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}", certs))
	r.log.Await(t, 1, "published")
	set := func(level string) (ask.Answer, error) {
		return ask.Ask(t.Context(), certs, "", ask.SetLevel+" "+level)
	}
	if a, err := set("warn"); err != nil || a.Level != "warn" {
		t.Errorf("%+v, %v", a, err)
	}
	r.log.Await(t, 1, "the log level is another one", "level=warn")
	published := strings.Count(r.log.String(), "published")
	api.Rotate()
	eventually(t, func() error {
		if got := leafOnDisk(t, certs, "svid.pem").SerialNumber; got.Cmp(api.SVIDs()[0].Certificates[0].SerialNumber) != 0 {
			return notYet("%x is on disk", got)
		}
		return nil
	})
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	r.log.Await(t, 1, "the log level is another one", "level=info", "user defined signal 2")
	if now := strings.Count(r.log.String(), "published"); now != published {
		t.Errorf("%d publishes are logged at level warn", now-published)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	r.log.Await(t, 1, "the log level is another one", "level=debug")
	if _, err := set("loud"); err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Errorf("a level that is none: %v", err)
	}
}
