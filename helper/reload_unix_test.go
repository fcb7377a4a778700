//go:build unix

package helper

import (
	"context"
	"fmt"
	"log/slog"
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

// TestReloadOfANamedPipe: a configuration file that becomes a named pipe blocked
// the reload, and the end of the helper with it.
func TestReloadOfANamedPipe(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}\n", filepath.Join(t.TempDir(), "certs")))
	r.log.Await(t, 1, "published")
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(r.file, 0o644); err != nil {
		t.Fatal(err)
	}
	r.log.Await(t, 1, "is not a regular file")
	r.stop()
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// TestEndDuringAnExchange: SIGTERM comes while the process of the configuration
// before takes its time to end. It went to the one that was to follow.
func TestEndDuringAnExchange(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	heard, next := filepath.Join(dir, "heard"), filepath.Join(dir, "next")
	text := func(command string) string {
		return fmt.Sprintf("output %q {\n x509_svid {}\n}\nprocess {\n command = [\"sh\", \"-c\", %q]\n on_rotation = \"none\"\n}\n", filepath.Join(dir, "certs"), command)
	}
	r := newDaemonRun(t, api, filepath.Join(dir, "helper.conf"))
	r.write(text("trap 'echo term >> " + heard + "' TERM; echo up >> " + heard + "; while [ $(grep -c term " + heard + ") -lt 2 ]; do sleep 0.02; done"))
	c, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 8)
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() {
		r.done <- Run(ctx, c, slog.New(slog.NewTextHandler(r.log, nil)), Options{File: r.file, Load: r.load, Signals: signals})
	}()
	hears := func(want string) {
		t.Helper()
		eventually(t, func() error {
			if got := read(heard); got != want {
				return notYet("the process heard %q, want %q", got, want)
			}
			return nil
		})
	}
	hears("up\n")
	r.write(text("touch " + next))
	hears("up\nterm\n")
	signals <- syscall.SIGTERM
	if err := r.end(); err != nil {
		t.Error(err)
	}
	hears("up\nterm\nterm\n")
	if _, err := os.Stat(next); err == nil {
		t.Error("the process of the new configuration was started")
	}
	stop()
}
