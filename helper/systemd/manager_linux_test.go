package systemd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/svidhelper/svidhelper/helper/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A manager is a service manager that remembers what it is told.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	said chan string

	mu   sync.Mutex
	keys map[string]bool // of all that was said
}

// listen makes a socket as systemd does, and puts it into the environment.
func listen(t *testing.T, address string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(socketVariable, address)
	m := &manager{t: t, conn: conn, said: make(chan string, 1000), keys: map[string]bool{}}
	var reading sync.WaitGroup
	reading.Go(func() {
		for buf := make([]byte, 1<<16); ; {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			m.mu.Lock()
			for line := range strings.Lines(string(buf[:n])) {
				key, _, _ := strings.Cut(line, "=")
				m.keys[key] = true
			}
			m.mu.Unlock()
			m.said <- string(buf[:n])
		}
	})
	t.Cleanup(func() { conn.Close(); reading.Wait() })
	return m
}

// next returns the next message that has a line with that beginning.
func (m *manager) next(prefix string) (skipped []string, message string) {
	m.t.Helper()
	for timeout := time.After(testbed.Patience); ; {
		select {
		case message := <-m.said:
			if slices.ContainsFunc(strings.Split(message, "\n"), func(line string) bool { return strings.HasPrefix(line, prefix) }) {
				return skipped, message
			}
			skipped = append(skipped, message)
		case <-timeout:
			m.t.Fatalf("systemd does not hear %s, but %q", prefix, skipped)
		}
	}
}

// quiet checks that none of the messages has a line.
func (m *manager) quiet(messages []string, line string) {
	m.t.Helper()
	for _, message := range messages {
		if slices.Contains(strings.Split(message, "\n"), line) {
			m.t.Errorf("systemd hears %s too early", line)
		}
	}
}

// rest are the messages that have come by now.
func (m *manager) rest() (all []string) {
	for {
		select {
		case message := <-m.said:
			all = append(all, message)
		default:
			return all
		}
	}
}

// documented checks that docs/operation.md names all that was said.
func (m *manager) documented() {
	m.t.Helper()
	document, err := os.ReadFile("../../docs/operation.md")
	if err != nil {
		m.t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "\n## Under systemd\n")
	section, _, _ = strings.Cut(section, "\n## ")
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.keys {
		if !strings.Contains(section, "`"+key) {
			m.t.Errorf("docs/operation.md does not name %s", key)
		}
	}
}

// A stand is a helper whose report the test sets.
type stand struct {
	mu      sync.Mutex
	report  Report
	hangs   bool
	changed chan struct{}
}

func (s *stand) Changed() <-chan struct{} { return s.changed }

func (s *stand) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report
}

func (s *stand) Turns(ctx context.Context) error {
	s.mu.Lock()
	hangs := s.hangs
	s.mu.Unlock()
	if !hangs {
		return nil
	}
	<-ctx.Done()
	return errors.New("the loop does not turn")
}

func (s *stand) change(f func(*stand)) {
	s.mu.Lock()
	f(s)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// run runs a Manager, and returns what ends it.
func run(t *testing.T, s *stand) (m *Manager, log *testbed.Log, stop func()) {
	t.Helper()
	log = testbed.NewLog()
	m = New(slog.New(slog.NewTextHandler(log, nil)))
	if m == nil {
		t.Fatal("there is NOTIFY_SOCKET, and no Manager")
	}
	s.changed = make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.Run(ctx, s); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return m, log, stop
}

// TestLife: what systemd hears from the start to the end, through a socket that
// has a path and through one that has none.
func TestLife(t *testing.T) {
	for what, address := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": fmt.Sprintf("@svidhelper-test-%d", os.Getpid()),
	} {
		t.Run(what, func(t *testing.T) {
			systemd := listen(t, address)
			s := &stand{report: Report{Text: "not ready: no socket"}}
			m, _, stop := run(t, s)
			systemd.next("EXTEND_TIMEOUT_USEC=60000000")
			before, _ := systemd.next("STATUS=not ready: no socket")
			m.Reloading()() // says nothing before READY

			s.change(func(s *stand) { s.report = Report{Published: true, Text: "starting"} })
			more, _ := systemd.next("STATUS=starting")
			s.change(func(s *stand) { s.report.Started, s.report.Text = true, "spiffe://example.org/web" })
			_, ready := systemd.next("READY=1")
			if !strings.Contains(ready, "STATUS=spiffe://example.org/web") {
				t.Errorf("READY comes without the status: %q", ready)
			}
			systemd.quiet(append(before, more...), "READY=1")
			systemd.quiet(append(before, more...), "RELOADING=1")

			done := m.Reloading()
			m.Reloading()() // within another one: the outer one says it
			_, reloading := systemd.next("RELOADING=1")
			if !strings.Contains(reloading, "\nMONOTONIC_USEC=") {
				t.Errorf("no time in %q", reloading)
			}
			done()
			between, _ := systemd.next("READY=1")
			if len(between) > 0 {
				t.Errorf("between RELOADING and READY: %q", between)
			}

			s.change(func(s *stand) { s.report.Ending = true })
			systemd.next("STOPPING=1")
			m.Reloading()()
			s.change(func(s *stand) { s.report.Ending, s.report.Text = false, "again" })
			stop()
			if after := systemd.rest(); len(after) > 0 {
				t.Errorf("after STOPPING: %q", after)
			}
			systemd.documented()
		})
	}
}

// TestNoReadyAfterStopping: whatever goroutine would say it.
func TestNoReadyAfterStopping(t *testing.T) {
	systemd := listen(t, filepath.Join(t.TempDir(), "notify"))
	for range 50 {
		s := &stand{report: Report{Published: true, Started: true}}
		m, _, stop := run(t, s)
		systemd.next("READY=1")
		var reloads sync.WaitGroup
		for range 4 {
			reloads.Go(func() {
				for range 5 {
					m.Reloading()()
				}
			})
		}
		stop()
		reloads.Wait()
		systemd.next("STOPPING=1")
		if after := systemd.rest(); len(after) > 0 {
			t.Fatalf("after STOPPING: %q", after)
		}
	}
}

// TestWatchdog: a helper that hangs is not said to live.
func TestWatchdog(t *testing.T) {
	systemd := listen(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "100000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	s := &stand{report: Report{Published: true, Started: true}}
	_, log, _ := run(t, s)
	systemd.next("WATCHDOG=1")
	s.change(func(s *stand) { s.hangs = true })
	log.Await(t, 1, "svidhelper hangs", "the loop does not turn")
	systemd.rest()
	time.Sleep(300 * time.Millisecond) // three times what systemd would wait
	systemd.quiet(systemd.rest(), "WATCHDOG=1")
	s.change(func(s *stand) { s.hangs = false })
	systemd.next("WATCHDOG=1")
	systemd.documented()
}

// TestWatchdogOfAnotherProcess: a unit's watchdog may be for its main process, and
// that for another one than the helper.
func TestWatchdogOfAnotherProcess(t *testing.T) {
	systemd := listen(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1")
	_, _, stop := run(t, &stand{report: Report{Published: true, Started: true}})
	systemd.next("READY=1")
	time.Sleep(20 * time.Millisecond)
	stop()
	systemd.quiet(systemd.rest(), "WATCHDOG=1")
}

// TestRelay: READY waits for the process's own, and its other wishes are passed on
// as far as they do not speak for the helper.
func TestRelay(t *testing.T) {
	systemd := listen(t, filepath.Join(t.TempDir(), "notify"))
	s := &stand{report: Report{Published: true, Started: true, Relays: true, Text: "web"}}
	m, _, _ := run(t, s)
	say := func(lines ...string) {
		t.Helper()
		_, address, _ := strings.Cut(m.Environ()[0], "=")
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
			t.Fatal(err)
		}
	}
	say("STATUS=recovering \x1b[31m", "EXTEND_TIMEOUT_USEC=5000000", "MAINPID=1", "FDSTORE=1", "WATCHDOG=trigger", "STOPPING=1", "READY=0")
	early, _ := systemd.next("EXTEND_TIMEOUT_USEC=5000000")
	more, status := systemd.next("STATUS=web; the process says: recovering")
	if strings.Contains(status, "\x1b") {
		t.Errorf("a control character is passed on: %q", status)
	}
	say(strings.Repeat("x", 2*maxMessage) + "\nREADY=1")
	say("READY=1", "MAINPID=1")
	last, ready := systemd.next("READY=1")
	for _, message := range slices.Concat(early, more, last, []string{status, ready}) {
		for _, never := range []string{"MAINPID", "FDSTORE", "WATCHDOG", "STOPPING", "xxx"} {
			if strings.Contains(message, never) {
				t.Errorf("%s is passed on: %q", never, message)
			}
		}
	}
	systemd.quiet(slices.Concat(early, more), "READY=1")
	say("RELOADING=1", "MONOTONIC_USEC=42")
	if _, reloading := systemd.next("RELOADING=1"); !strings.Contains(reloading, "MONOTONIC_USEC=42") {
		t.Errorf("the process's time is lost: %q", reloading)
	}
	say("READY=1")
	systemd.next("READY=1")
}

// TestSystemdNotify: the shell's way to tell, which waits until its message was
// heard.
func TestSystemdNotify(t *testing.T) {
	notify, err := exec.LookPath("systemd-notify")
	if err != nil {
		t.Skip("systemd-notify is not here")
	}
	systemd := listen(t, filepath.Join(t.TempDir(), "notify"))
	m, _, _ := run(t, &stand{report: Report{Published: true, Started: true, Relays: true}})
	cmd := exec.Command(notify, "--ready", "--status=up")
	cmd.Env = append(os.Environ(), m.Environ()...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("systemd-notify: %v: %s", err, out)
	}
	t.Logf("systemd-notify took %v", time.Since(began).Round(time.Millisecond))
	systemd.next("READY=1")
}

// TestWithoutSystemd: nothing is there, and nothing is done.
func TestWithoutSystemd(t *testing.T) {
	t.Setenv(socketVariable, "")
	m := New(slog.New(slog.DiscardHandler))
	if m != nil {
		t.Fatal("a Manager without NOTIFY_SOCKET")
	}
	m.Reloading()()
	m.Close()
	if env := m.Environ(); env != nil {
		t.Errorf("the process gets %q", env)
	}
}

// TestSocketThatIsGone is one line in the log, and no failure.
func TestSocketThatIsGone(t *testing.T) {
	t.Setenv(socketVariable, filepath.Join(t.TempDir(), "none"))
	s := &stand{report: Report{Published: true, Started: true}}
	_, log, stop := run(t, s)
	log.Await(t, 1, "systemd cannot be told")
	s.change(func(s *stand) { s.report.Text = "another" })
	stop()
	if n := strings.Count(log.String(), "systemd cannot be told"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, s := range []string{"READY=1", "RELOADING=1\nMONOTONIC_USEC=1", "STATUS=a\x00b\xff", "EXTEND_TIMEOUT_USEC=-1", "=", "\n\n", strings.Repeat("STATUS=x\n", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := parseMessage(b)
		if strings.ContainsAny(m.text+m.extend+m.reloading, "\n\x00\x1b") || len(m.text) > maxText+3 || len(m.extend) > 19 {
			t.Errorf("%+v from %q", m, b)
		}
	})
}

// TestStrangersAreNotTrusted: every user of the machine can send there.
func TestStrangersAreNotTrusted(t *testing.T) {
	if trusted(nil) {
		t.Error("a message of an unknown sender is trusted")
	}
	if !descends(childOf(t)) {
		t.Error("a child does not descend from its parent")
	}
	for _, pid := range []int{1, os.Getppid(), 1 << 30} {
		if descends(pid) {
			t.Errorf("process %d descends from this one", pid)
		}
	}
}

// childOf starts a process that lives until the test ends.
func childOf(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}
