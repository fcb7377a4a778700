package helper

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/testbed"
	"github.com/svidhelper/svidhelper/supervisor"
)

func TestMain(m *testing.M) {
	if os.Getenv("SVIDHELPER_TEST_CHILD") != "" {
		child(os.Args[1])
		return
	}
	goleak.VerifyTestMain(m)
}

// child is the process that the tests supervise: it appends a line to a file
// at its start, with its pid, and at each signal, with the time.
func child(record string) {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, recorded...)
	f, err := os.OpenFile(record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		os.Exit(9)
	}
	fmt.Fprintln(f, "started", os.Getpid())
	for s := range signals {
		fmt.Fprintln(f, s, time.Now().Format(time.RFC3339Nano))
		if s == syscall.SIGTERM {
			return
		}
	}
}

// childProcess is the process block that runs child.
func childProcess(t *testing.T, record, more string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(more, "on_rotation") {
		more += "\n  on_rotation = \"SIGHUP\""
	}
	return fmt.Sprintf(`
process {
  command = [%q, %q]
  env     = { SVIDHELPER_TEST_CHILD = "1", GORACE = "atexit_sleep_ms=0" }
  %s
}
`, self, record, more)
}

// awaitStarted waits until child has its handlers.
func awaitStarted(t *testing.T, record string) {
	t.Helper()
	eventually(t, func() error {
		if !strings.Contains(read(record), "started") {
			return notYet("no start in the record")
		}
		return nil
	})
}

// What tests of this package share with those of others.
const patience = testbed.Patience

var (
	newLogBuffer = testbed.NewLog
	read         = testbed.Read
	notYet       = testbed.NotYet
	holdsAll     = testbed.HoldsAll
)

func eventually(t *testing.T, check func() error) { t.Helper(); testbed.Eventually(t, check) }

// A daemonRun is a Run under test.
type daemonRun struct {
	t    *testing.T
	stop context.CancelFunc
	done chan error
	log  *testbed.Log
	file string
	text string // of the file at the start, unless the caller wrote it
	api  string

	reads atomic.Int64 // of the file
}

// startDaemon runs a configuration from a file that the test can change.
func startDaemon(t *testing.T, api *devapi.Server, text string) *daemonRun {
	t.Helper()
	file := filepath.Join(t.TempDir(), "helper.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := startDaemonAt(t, api, file)
	r.text = text
	return r
}

func startDaemonAt(t *testing.T, api *devapi.Server, file string) *daemonRun {
	t.Helper()
	r := newDaemonRun(t, api, file)
	c, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	r.start(c)
	return r
}

func newDaemonRun(t *testing.T, api *devapi.Server, file string) *daemonRun {
	return &daemonRun{t: t, done: make(chan error, 1), log: newLogBuffer(), api: api.Addr(), file: file}
}

// start runs what was read from the file.
func (r *daemonRun) start(c *config.Config) {
	t := r.t
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	level := new(slog.LevelVar)
	level.Set(slog.LevelDebug)
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: level}))
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, supervisor.Signals()...)
	go func() {
		r.done <- Run(ctx, c, log, Options{File: r.file, Load: r.load, Signals: signals, Level: level})
	}()
	t.Cleanup(func() {
		signal.Stop(signals)
		cancel()
		select {
		case <-r.done:
		case <-time.After(patience):
			t.Error("Run does not end")
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
}

func (r *daemonRun) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file+".new", []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		r.t.Fatal(err)
	}
}

func (r *daemonRun) load() (*config.Config, error) {
	defer r.reads.Add(1)
	c, diagnostics := new(config.Loader).Load(config.Flags{}, r.file)
	if err := diagnostics.Err(); err != nil {
		return nil, err
	}
	if c.AgentAddress == "" {
		c.AgentAddress = r.api
	}
	return c, nil
}

// end waits for Run to end by itself.
func (r *daemonRun) end() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err // for the cleanup
		return err
	case <-time.After(patience):
		r.t.Fatalf("Run does not end; log:\n%s", r.log)
		return nil
	}
}

// get fetches a page and returns its status and body.
func get(url string) (int, string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		return 0, "", err
	}
	return resp.StatusCode, b.String(), nil
}

// freeAddress returns a loopback address that is the test's: nobody listens
// there, and nobody else gets it.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, release, err := testbed.Port()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return fmt.Sprintf("127.0.0.1:%d", port)
}
