//go:build linux

package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"golang.org/x/sys/unix"
)

func sh(script string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", script, "sh"}, args...)
}

func testHook(t *testing.T, spec Spec, log *slog.Logger) *Hook {
	t.Helper()
	noLeak(t)
	if spec.Name == "" {
		spec.Name = t.Name()
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h, err := New(spec, log)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// fifo returns a FIFO for scripts to write to, and a function that waits for a
// line.
func fifo(t *testing.T) (path string, line func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // never sees EOF
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return path, func() string {
		t.Helper()
		f.SetReadDeadline(time.Now().Add(hookPatience))
		var text []byte
		for one := make([]byte, 1); ; {
			if _, err := f.Read(one); err != nil {
				t.Fatalf("nobody wrote a line: %v", err)
			}
			if one[0] == '\n' {
				return string(text)
			}
			text = append(text, one[0])
		}
	}
}

func TestHookCommandHearsWhatChanged(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	h := testHook(t, Spec{Command: sh(`{ cat; echo "$SERIAL $KINDS $HOME_OF_HELPER $#"; } > "$1"`, out, "a b")}, nil)
	t.Setenv("HOME_OF_HELPER", "/here")
	runHook(t, h)
	h.Rotated(Notice{
		Env:   []string{"SERIAL=42"},
		Lists: []List{{"KINDS", []string{"x509", "bundle"}}},
		Event: []byte(`{"event":"published"}`),
	})
	s := await(t, h, "told", told)
	got, _ := os.ReadFile(out)
	if want := "{\"event\":\"published\"}\n42 x509,bundle /here 2\n"; string(got) != want {
		t.Errorf("the command got %q, want %q", got, want)
	}
	if s.Runs != 1 || s.LastError != nil || s.LastDelivered.IsZero() {
		t.Errorf("status %+v", s)
	}
}

func TestHookCommandThatFailsSaysWhy(t *testing.T) {
	h := testHook(t, Spec{Command: sh(`echo starting; echo "no such unit" >&2; exit 3`)}, nil)
	runHook(t, h)
	h.Rotated(Notice{})
	s := await(t, h, "failed", failed)
	if got := s.LastError.Error(); !strings.Contains(got, "exit status 3") || !strings.Contains(got, "no such unit") {
		t.Errorf("error %q", got)
	}
}

// slowLog is a log that holds up whoever writes the first line.
type slowLog struct {
	slog.Handler
	first func()
}

func (l *slowLog) Handle(context.Context, slog.Record) error { l.first(); return nil }
func (l *slowLog) WithAttrs([]slog.Attr) slog.Handler        { return l }

// What a command said is not lost because we were late to read it.
func TestHookCommandIsHeardToItsEnd(t *testing.T) {
	gate, _ := fifo(t)
	wait := sync.OnceFunc(func() {
		if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
			t.Error(err)
		}
		time.Sleep(waitDelay / 2) // the command has long ended
	})
	log := slog.New(&slowLog{slog.NewTextHandler(io.Discard, nil), wait})
	h := testHook(t, Spec{Command: sh(`echo starting; read go <"$1"; echo "no such unit" >&2; exit 3`, gate)}, log)
	runHook(t, h)
	h.Rotated(Notice{})
	s := await(t, h, "failed", failed)
	if got := lastError(s); !strings.Contains(got, "exit status 3") || !strings.Contains(got, "no such unit") {
		t.Errorf("error %q", got)
	}
}

func TestHookCommandIsRetried(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	h := testHook(t, Spec{Retries: 2, Command: sh(`[ -e "$1" ] || { : > "$1"; exit 1; }`, mark)}, nil)
	runHook(t, h)
	h.Rotated(Notice{})
	if s := await(t, h, "told", told); s.Runs != 2 || s.Failures != 1 {
		t.Errorf("status %+v, want one failure, then success", s)
	}
}

func TestHookCommandThatIsMissing(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "reload")
	h := testHook(t, Spec{Command: []string{bin}}, nil)
	runHook(t, h)
	h.Rotated(Notice{})
	if s := await(t, h, "failed", failed); !errors.Is(s.LastError, fs.ErrNotExist) {
		t.Errorf("error %v, want not found", s.LastError)
	}
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.Rotated(Notice{})
	await(t, h, "told once the command is there", told)
}

func TestHookCommandThatHangsIsKilledWithItsGroup(t *testing.T) {
	waitGone(t, timesOut(t, 300*time.Millisecond, func(path string) []string {
		return sh(`trap '' TERM; sleep 600 & echo $! > "$1"; sleep 600`, path)
	}))
}

func TestHookCommandThatLeavesItsGroupIsKilled(t *testing.T) {
	waitGone(t, timesOut(t, time.Second, func(path string) []string {
		return []string{"env", childVar + "=stray", testBinary(t), path}
	}))
}

// timesOut runs a hook until its timeout, and returns the pid that its command
// has written to a FIFO. A command that had no time for that gets more.
func timesOut(t *testing.T, timeout time.Duration, command func(path string) []string) (pid string) {
	t.Helper()
	for ; ; timeout *= 2 {
		path, line := fifo(t)
		h := testHook(t, Spec{Timeout: timeout, Command: command(path)}, nil)
		stop := runHook(t, h)
		h.Rotated(Notice{})
		s := await(t, h, "failed", failed)
		stop()
		if !strings.Contains(lastError(s), "timeout") {
			t.Error(s.LastError)
		}
		if err := os.WriteFile(path, []byte("nothing\n"), 0); err != nil {
			t.Fatal(err)
		}
		if pid := line(); pid != "nothing" {
			return pid
		}
		t.Logf("in %v the command came to nothing", timeout)
	}
}

// waitGone waits until nobody runs under that pid.
func waitGone(t *testing.T, pid string) {
	t.Helper()
	n := mustPID(t, pid)
	fd, err := unix.PidfdOpen(n, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		got, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(hookPatience.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || got == 0:
			syscall.Kill(n, syscall.SIGKILL)
			t.Errorf("process %d lives on: %v", n, err)
		}
		return
	}
}

// notHeld is longer than anything takes that is not held up until a timeout, on
// a busy machine too.
const notHeld = defaultTimeout / 3

func TestHookCommandThatForksIntoTheBackgroundDoesNotHoldUs(t *testing.T) {
	path, pid := fifo(t)
	h := testHook(t, Spec{Command: sh(`sleep 600 & echo $! > "$1"; echo started`, path)}, nil)
	runHook(t, h)
	began := time.Now()
	h.Rotated(Notice{})
	await(t, h, "told", told)
	took := time.Since(began)
	t.Logf("a command that left somebody behind with its pipes held us for %v", took)
	if took > notHeld {
		t.Errorf("it held us for %v", took)
	}
	n, _ := strconv.Atoi(pid())
	defer waitGone(t, strconv.Itoa(n))
	defer syscall.Kill(n, syscall.SIGKILL)
	if p, err := lookUpProcess(n); err != nil || p.dead {
		t.Errorf("the process in the background was ended: %v", err)
	}
	h.Rotated(Notice{})
	await(t, h, "told again", told)
	syscall.Kill(mustPID(t, pid()), syscall.SIGKILL)
}

func mustPID(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestHookCommandThatFloodsIsBounded(t *testing.T) {
	log := new(hookLog)
	h := testHook(t, Spec{
		// a line without end, then many lines
		Command: sh(`head -c 5000000 /dev/zero | tr '\0' x; echo; yes | head -n 300000; printf done`),
	}, log.logger())
	runHook(t, h)
	h.Rotated(Notice{})
	await(t, h, "told", told)
	if n := log.count(`msg="hook output"`); n != maxLines {
		t.Errorf("%d lines logged, want %d", n, maxLines)
	}
	if log.count("lines=299902 bytes=5600005") != 1 {
		t.Errorf("what was left out is not counted: %q", log.lines[len(log.lines)-3:])
	}
	for _, l := range log.lines {
		if len(l) > maxLine+200 {
			t.Errorf("a line of %d bytes was logged", len(l))
		}
	}
}

func TestHookSlowCommandCoalescesARotationStorm(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	h := testHook(t, Spec{Command: sh(`sleep 0.2; echo $N >> "$1"`, out)}, nil)
	runHook(t, h)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for i := range 100 {
		h.Rotated(Notice{Env: []string{fmt.Sprintf("N=%d", i)}})
		<-tick.C
	}
	took := time.Since(began)
	s := await(t, h, "told", func(s Status) bool { return s.Delivered == 100 })
	runs, _ := os.ReadFile(out)
	lines := strings.Fields(string(runs))
	t.Logf("100 rotations in %v, a command of 200 ms: %d runs, for %v", took, s.Runs, lines)
	if len(lines) > 2+int(took/(200*time.Millisecond)) || lines[len(lines)-1] != "99" {
		t.Errorf("runs for %v", lines)
	}
}

// Whatever a command does, stop does not wait for it.
func TestHookStopIsImmediate(t *testing.T) {
	for name, script := range map[string]string{
		"hangs":      `trap '' TERM INT HUP; echo $$ > "$1"; while [ $((n+=1)) -lt 1000 ]; do sleep 600; done`,
		"floods":     `echo $$ > "$1"; yes`,
		"forks":      `sleep 600 & echo $! > "$1"; wait`,
		"forks away": `setsid sleep 600 & echo $! > "$1"; wait`,
		"fails":      `echo $$ > "$1"; exit 1`,
	} {
		t.Run(name, func(t *testing.T) {
			path, pid := fifo(t)
			h := testHook(t, Spec{Retries: 100, Command: sh(script, path)}, nil)
			stop := runHook(t, h)
			h.Rotated(Notice{})
			descendant := pid()
			if name == "fails" {
				await(t, h, "failed", failed)
			}
			stopsAtOnce(t, stop)
			if name == "forks away" { // out of our hands, so the test ends it
				syscall.Kill(mustPID(t, descendant), syscall.SIGKILL)
			}
			waitGone(t, descendant)
		})
	}
	t.Run("missing", func(t *testing.T) {
		h := testHook(t, Spec{Retries: 100, Command: []string{"/nonexistent"}}, nil)
		stop := runHook(t, h)
		h.Rotated(Notice{})
		await(t, h, "failed", failed)
		stopsAtOnce(t, stop)
	})
}

// stopsAtOnce checks that stop takes less than a second beside what a busy machine
// may take.
func stopsAtOnce(t *testing.T, stop func() time.Duration) {
	t.Helper()
	pulse, began := testbed.StartPulse(), time.Now()
	defer pulse.Stop()
	took := stop()
	const hops = 20 // of one process waiting for another to run
	machine := hops * pulse.Since(began)
	t.Logf("stop took %v (the machine's part: up to %v)", took, machine)
	if took-machine > time.Second {
		t.Errorf("stop took %v (the machine's part: up to %v)", took, machine)
	}
}

// As PID 1 the helper reaps orphans, and must not reap its hooks' statuses.
func TestHookCommandKeepsItsStatusFromTheReaper(t *testing.T) {
	noLeak(t)
	inherit := func(is uintptr) {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, is, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	inherit(1)
	defer inherit(0)
	stop := child.ReapOrphans()
	defer stop()
	for range 20 {
		h := testHook(t, Spec{Command: sh(`(exit 0) & exit 3`)}, nil)
		end := runHook(t, h)
		h.Rotated(Notice{})
		s := await(t, h, "failed", failed)
		if got := lastError(s); !strings.Contains(got, "exit status 3") {
			t.Fatalf("error %q", got)
		}
		end()
	}
}

// A command on a network mount that hangs held a lock that every other start, the
// reaper and the loop of the process waited for, and the hook could not be
// stopped.
func TestHookCommandWhoseFileHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reload")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY)
	if err == nil {
		err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_PERM|unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, path)
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		t.Skipf("no way to make an open hang: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var hung *Hook
	t.Cleanup(func() { unix.Close(fd) })
	hung, err = New(Spec{Name: "hangs", Command: []string{path}, Timeout: 100 * time.Millisecond}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := runHook(t, hung)
	hung.Rotated(Notice{})
	s := await(t, hung, "failed", failed)
	if !strings.Contains(lastError(s), "cannot be read") {
		t.Errorf("error %q", lastError(s))
	}
	other := testHook(t, Spec{Command: sh("exit 0")}, nil)
	runHook(t, other)
	other.Rotated(Notice{})
	await(t, other, "told", told)
	stopsAtOnce(t, stop)
}
