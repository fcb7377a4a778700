package helper

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/events"
)

// TestReloadWhateverTheEditor: each way in which a file is changed is noticed.
func TestReloadWhateverTheEditor(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	text := func(name string) []byte {
		return fmt.Appendf(nil, "output %q {\n x509_svid {}\n}\n", filepath.Join(dir, name))
	}
	r := startDaemon(t, api, string(text("first")))
	r.log.Await(t, 1, "published", "/first")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, editor := range []struct {
		name string
		edit func(new []byte)
	}{
		{"writes in place", func(new []byte) { must(os.WriteFile(r.file, new, 0o644)) }},
		{"renames a new file over it", func(new []byte) {
			must(os.WriteFile(r.file+".swp", new, 0o644))
			must(os.Rename(r.file+".swp", r.file))
		}},
		{"renames the old file away", func(new []byte) {
			must(os.Rename(r.file, r.file+"~"))
			must(os.WriteFile(r.file, new, 0o644))
			must(os.Remove(r.file + "~"))
		}},
		{"writes in pieces", func(new []byte) {
			f, err := os.OpenFile(r.file, os.O_WRONLY|os.O_TRUNC, 0)
			must(err)
			for i := range new {
				_, err := f.Write(new[i : i+1])
				must(err)
			}
			must(f.Close())
		}},
		{"removes it first", func(new []byte) {
			must(os.Remove(r.file))
			r.log.Await(t, 1, "not valid, the running one stays")
			must(os.WriteFile(r.file, new, 0o644))
		}},
		{"puts a link in its place", func(new []byte) {
			real := filepath.Join(t.TempDir(), "real.conf")
			must(os.WriteFile(real, new, 0o644))
			must(os.Symlink(real, r.file+".link"))
			must(os.Rename(r.file+".link", r.file))
		}},
		{"writes to where the link leads", func(new []byte) { must(os.WriteFile(r.file, new, 0o644)) }},
	} {
		t.Log(editor.name)
		name := strings.ReplaceAll(editor.name, " ", "-")
		editor.edit(text(name))
		r.log.Await(t, 1, "published", "/"+name)
	}
}

// TestARefusedConfigurationIsSaidOnce: where the log is beside the configuration,
// each line of it has the file read again.
func TestARefusedConfigurationIsSaidOnce(t *testing.T) {
	log := newLogBuffer()
	err := errors.New("first")
	d := &daemon{
		log: slog.New(slog.NewTextHandler(log, nil)), events: events.New("", slog.New(slog.DiscardHandler)),
		options: Options{Load: func() (*config.Config, error) { return nil, err }},
	}
	d.parts.Store(&parts{})
	for range 3 {
		d.readAgain(t.Context())
	}
	err = errors.New("second")
	d.readAgain(t.Context())
	err = nil // the running one again
	d.readAgain(t.Context())
	err = errors.New("second")
	d.readAgain(t.Context())
	if first, second := strings.Count(log.String(), "first"), strings.Count(log.String(), "second"); first != 1 || second != 2 {
		t.Errorf("the first error is logged %d times, the second %d times", first, second)
	}
}

// TestReloadInABusyDirectory: files that come and go beside the configuration do
// not keep it from being read.
func TestReloadInABusyDirectory(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	text := func(name string) string {
		return fmt.Sprintf("output %q {\n x509_svid {}\n}\n", filepath.Join(dir, name))
	}
	r := startDaemon(t, api, text("a"))
	r.log.Await(t, 1, "published", "/a")
	var busy sync.WaitGroup
	end := make(chan struct{})
	busy.Go(func() {
		tick := time.NewTicker(settle / 10)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				_ = os.WriteFile(r.file+".other", []byte("x"), 0o644)
			}
		}
	})
	defer busy.Wait()
	defer close(end)
	r.write(text("b"))
	r.log.Await(t, 1, "published", "/b")
}

// TestReloadAnotherAgent: what is on disk comes from another Workload API, the
// process is told, and the old one has no connection any more.
func TestReloadAnotherAgent(t *testing.T) {
	one, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	two, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	certs, record := filepath.Join(dir, "certs"), filepath.Join(dir, "record")
	text := fmt.Sprintf("output %q {\n x509_svid {}\n}\n", certs) + childProcess(t, record, "")
	r := startDaemon(t, one, fmt.Sprintf("agent_address = %q\n", one.Addr())+text)
	awaitStarted(t, record)
	on := func(api *devapi.Server) {
		t.Helper()
		want := api.SVIDs()[0].Certificates[0].SerialNumber
		eventually(t, func() error {
			if got := leafOnDisk(t, certs, "svid.pem").SerialNumber; got.Cmp(want) != 0 {
				return notYet("%x is on disk, not %x", got, want)
			}
			return nil
		})
	}
	on(one)
	r.write(fmt.Sprintf("agent_address = %q\n", two.Addr()) + text)
	on(two)
	if err := faults.Wait(t.Context(), func(c devapi.Counts) bool { return c.OpenConnections == 0 }); err != nil {
		t.Error(err)
	}
	r.log.Await(t, 1, "process told of the rotation")
	one.Rotate()
	two.Rotate()
	on(two)
	if n := strings.Count(r.log.String(), "process started"); n != 1 {
		t.Errorf("the process was started %d times", n)
	}
}

// TestReloadHealthAndHooks: health moves, goes and comes; hooks come and go; the
// stream, the process and the hook that stays do not notice.
func TestReloadHealthAndHooks(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	here, there := freeAddress(t), freeAddress(t)
	text := fmt.Sprintf("output %q {\n x509_svid {}\n}\n", filepath.Join(dir, "certs")) + childProcess(t, filepath.Join(dir, "record"), "")
	hook := func(name, mark string) string {
		return fmt.Sprintf("hook %q {\n command = [\"sh\", \"-c\", \"echo %s >> $0\", %q]\n}\n", name, mark, filepath.Join(dir, name))
	}
	health := func(address, more string) string {
		return fmt.Sprintf("health {\n address = %q\n %s\n}\n", address, more)
	}
	heard := func(name, want string) {
		t.Helper()
		eventually(t, func() error {
			if got := strings.ReplaceAll(read(dir, name), "\n", " "); got != want {
				return notYet("hook %s heard %q, not %q", name, got, want)
			}
			return nil
		})
	}
	gone := func(address string) {
		t.Helper()
		eventually(t, func() error {
			if status, _, err := get("http://" + address + "/ready"); err == nil {
				return notYet("still served: %d", status)
			}
			return nil
		})
	}
	r := startDaemon(t, api, text+health(here, "")+hook("stays", "old"))
	awaitReady(t, here, http.StatusOK)
	awaitStarted(t, filepath.Join(dir, "record"))
	heard("stays", "old ")

	r.write(text + health(there, "") + hook("stays", "old") + hook("comes", "new"))
	awaitReady(t, there, http.StatusOK)
	gone(here)
	api.Rotate()
	heard("stays", "old old ")
	heard("comes", "new new ") // at its start, and of the rotation

	// the same address, another path; one hook goes, one says something else
	r.write(text + health(there, `ready_path = "/well"`) + hook("comes", "changed"))
	eventually(t, func() error {
		if status, body, err := get("http://" + there + "/well"); status != http.StatusOK {
			return notYet("%d %s %v", status, body, err)
		}
		return nil
	})
	api.Rotate()
	heard("comes", "new new changed ")
	heard("stays", "old old ")

	r.write(text + hook("comes", "changed"))
	gone(there)
	r.write(text + health(here, "") + hook("comes", "changed"))
	awaitReady(t, here, http.StatusOK)

	if n := len(faults.Attempts(devapi.FetchX509SVID)); n != 1 {
		t.Errorf("the stream was opened %d times", n)
	}
	if n := strings.Count(r.log.String(), "process started"); n != 1 {
		t.Errorf("the process was started %d times", n)
	}
}

// TestReloadEvents: events go to another file, to none, and to one again.
func TestReloadEvents(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	text := fmt.Sprintf("output %q {\n x509_svid {}\n}\n", filepath.Join(dir, "certs"))
	events := func(name string) string { return fmt.Sprintf("events = %q\n", filepath.Join(dir, name)) }
	has := func(name string, n int) {
		t.Helper()
		eventually(t, func() error {
			if got := strings.Count(read(dir, name), `"event":"published"`); got != n {
				return notYet("%d publishes in %s, not %d", got, name, n)
			}
			return nil
		})
	}
	r := startDaemon(t, api, text+events("a"))
	has("a", 1)
	r.write(text + events("b"))
	r.log.Await(t, 1, "in effect")
	api.Rotate()
	has("b", 1)
	r.write(text)
	r.log.Await(t, 2, "in effect")
	api.Rotate()
	r.log.Await(t, 3, "published")
	r.write(text + events("c"))
	r.log.Await(t, 3, "in effect")
	api.Rotate()
	has("c", 1)
	has("a", 1)
	has("b", 1)
}
