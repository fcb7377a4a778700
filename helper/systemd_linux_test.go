package helper

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// notifySocket stands in for systemd, and puts its address into the environment.
// The function that it returns waits for a message with a line that begins so, and
// returns those before it.
func notifySocket(t *testing.T) (next func(prefix string) (before []string, message string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	said := make(chan string, 1000)
	var reading sync.WaitGroup
	reading.Go(func() {
		for buf := make([]byte, 1<<16); ; {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			said <- string(buf[:n])
		}
	})
	t.Cleanup(func() { conn.Close(); reading.Wait() })
	return func(prefix string) (before []string, message string) {
		t.Helper()
		for late := time.After(patience); ; {
			select {
			case message := <-said:
				if begins(message, prefix) {
					return before, message
				}
				before = append(before, message)
			case <-late:
				t.Fatalf("systemd does not hear %q, but %q", prefix, before)
			}
		}
	}
}

// begins reports whether a line of a message begins so.
func begins(message, prefix string) bool {
	return slices.ContainsFunc(strings.Split(message, "\n"), func(line string) bool { return strings.HasPrefix(line, prefix) })
}

// TestSystemd: what systemd hears of a daemon that waits for its identity, starts a
// process, rotates, follows a new configuration, and ends. Neither the process nor a
// hook speaks in its place.
func TestSystemd(t *testing.T) {
	next := notifySocket(t)
	t.Setenv("WATCHDOG_USEC", "200000")
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, TTL: time.Hour})
	api.Down()
	dir := t.TempDir()
	certs, seen, hooked := filepath.Join(dir, "certs"), filepath.Join(dir, "seen"), filepath.Join(dir, "hooked")
	text := fmt.Sprintf(`
output %q {
  x509_svid {}
}
process {
  command     = ["sh", "-c", "env > %[2]s.new; mv %[2]s.new %[2]s; exec sleep 600"]
  on_rotation = "none"
}
hook "env" {
  command = ["sh", "-c", "env > %[3]s.new; mv %[3]s.new %[3]s"]
}
`, certs, seen, hooked)
	r := startDaemon(t, api, text)
	next("EXTEND_TIMEOUT_USEC=")
	early, _ := next("STATUS=not ready: Workload API at " + api.Addr() + ": no socket") // which says what is missing
	if err := api.Up(); err != nil {
		t.Fatal(err)
	}
	more, ready := next("READY=1")
	expires := api.SVIDs()[0].Certificates[0].NotAfter.UTC().Format(time.RFC3339)
	want := "STATUS=spiffe://example.org/workload until " + expires
	if !slices.ContainsFunc(append(more, ready), func(message string) bool { return begins(message, want) }) {
		t.Errorf("no %q in %q", want, append(more, ready))
	}
	for _, message := range append(early, more...) {
		if begins(message, "READY") {
			t.Errorf("ready too early: %q", message)
		}
	}
	r.log.Await(t, 1, "process started")
	for _, file := range []string{seen, hooked} {
		eventually(t, func() error {
			if env := read(file); !strings.Contains(env, "PATH=") {
				return notYet("%s: %s", file, env)
			}
			return nil
		})
		if env := read(file); strings.Contains(env, "NOTIFY_SOCKET") || strings.Contains(env, "WATCHDOG") {
			t.Errorf("what is meant for svidhelper is in the environment:\n%s", env)
		}
	}
	next("WATCHDOG=1")

	r.write(text + "\nhealth {\n address = \"" + freeAddress(t) + "\"\n}\n")
	_, reloading := next("RELOADING=1")
	if !begins(reloading, "MONOTONIC_USEC=") {
		t.Errorf("no time in %q", reloading)
	}
	next("READY=1")

	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	next("STOPPING=1")
	_ = r.end()
	r.log.Await(t, 1, "svidhelper ends, because the process has ended", "status=143")
}

// TestSystemdRelay: a process that tells by itself when it is ready is waited for.
func TestSystemdRelay(t *testing.T) {
	next := notifySocket(t)
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	certs, address, gate := filepath.Join(dir, "certs"), filepath.Join(dir, "address"), filepath.Join(dir, "gate")
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {}
}
process {
  command     = ["sh", "-c", "echo $NOTIFY_SOCKET > %[2]s.new; mv %[2]s.new %[2]s; exec sleep 600"]
  on_rotation = "none"
  notify      = true
}
`, certs, address, gate))
	var relay string
	eventually(t, func() error {
		if relay = strings.TrimSpace(read(address)); !strings.HasPrefix(relay, "@") {
			return notYet("the process has %q", relay)
		}
		return nil
	})
	if relay == os.Getenv("NOTIFY_SOCKET") {
		t.Error("the process has the helper's own socket")
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: relay, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("STATUS=recovering")); err != nil {
		t.Fatal(err)
	}
	early, _ := next("STATUS=spiffe://example.org/workload until ")
	if _, err := conn.Write([]byte("READY=1\nSTATUS=serving\nMAINPID=1")); err != nil {
		t.Fatal(err)
	}
	more, ready := next("READY=1")
	for _, message := range append(early, more...) {
		if begins(message, "READY") {
			t.Errorf("ready before the process: %q", message)
		}
	}
	if begins(ready, "MAINPID") {
		t.Errorf("the process is made the unit's main one: %q", ready)
	}
	r.stop()
	next("STOPPING=1")
}
