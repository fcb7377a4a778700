//go:build linux

package hook

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// A listener is a process that says on its output which signals it got.
type listener struct {
	t     *testing.T
	cmd   *exec.Cmd
	go_   io.Writer // a line here makes it install its handler
	lines chan string
	ended chan struct{}
}

// listen starts a shell that installs a handler for SIGHUP once it is told to.
func listen(t *testing.T) *listener {
	t.Helper()
	l := &listener{t: t, lines: make(chan string, 100), ended: make(chan struct{})}
	l.cmd = exec.Command("/bin/sh", "-c", `
		echo up
		read go
		trap 'echo hup' HUP
		echo ready
		while [ $((n+=1)) -lt 1000 ]; do sleep 60 & wait $!; done`)
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := l.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.go_ = in
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			l.lines <- s.Text()
		}
		l.cmd.Wait()
		close(l.ended)
	}()
	t.Cleanup(l.kill)
	l.hears("up")
	return l
}

func (l *listener) kill() {
	syscall.Kill(-l.cmd.Process.Pid, syscall.SIGKILL)
	<-l.ended
}

func (l *listener) pid() int { return l.cmd.Process.Pid }

func (l *listener) handle() *listener {
	l.t.Helper()
	io.WriteString(l.go_, "go\n")
	l.hears("ready")
	return l
}

// hears waits for the process to say that.
func (l *listener) hears(what string) {
	l.t.Helper()
	select {
	case got := <-l.lines:
		if got != what {
			l.t.Errorf("process %d says %q, want %q", l.pid(), got, what)
		}
	case <-l.ended:
		l.t.Fatalf("process %d ended, want %q", l.pid(), what)
	case <-time.After(hookPatience):
		l.t.Fatalf("process %d does not say %q", l.pid(), what)
	}
}

// unharmed checks that the process lives and got nothing.
func (l *listener) unharmed() {
	l.t.Helper()
	if p, err := lookUpProcess(l.pid()); err != nil || p.dead {
		l.t.Errorf("process %d was ended: %v", l.pid(), err)
	}
	select {
	case got := <-l.lines:
		l.t.Errorf("process %d was signalled: %s", l.pid(), got)
	default:
	}
}

// writePID writes a pid file as daemons do, whole.
func writePID(t *testing.T, path string, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func pidHook(t *testing.T) (h *Hook, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pid")
	return testHook(t, Spec{PIDFile: path}, nil), path
}

func lastError(s Status) string {
	if s.LastError == nil {
		return ""
	}
	return s.LastError.Error()
}

func TestPIDFileIsSignalled(t *testing.T) {
	h, path := pidHook(t)
	runHook(t, h)
	l := listen(t).handle()
	// as PostgreSQL writes it: the pid is the first line
	writePID(t, path, fmt.Sprintf("%d\n/var/lib/db\n1700000000\n5432\n", l.pid()))
	for range 3 {
		h.Rotated(Notice{})
		l.hears("hup")
		await(t, h, "told", told)
	}
}

// Each of these mistakes is reported, delays no other target, and is over soon after the file is
// right.
func TestPIDFileThatIsNotRightYet(t *testing.T) {
	for name, c := range map[string]struct{ content, says string }{
		"missing":  {"", "no such file"},
		"empty":    {"\n", "empty"},
		"garbage":  {"pid: 12\n", "not a pid"},
		"negative": {"-1\n", "not a pid"},
		"zero":     {"0\n", "not a pid"},
		"huge":     {"99999999999999999999\n", "not a pid"},
		"nobody":   {"2147483646\n", "gone"},
		"ourself":  {strconv.Itoa(os.Getpid()), "helper itself"},
	} {
		t.Run(name, func(t *testing.T) {
			h, path := pidHook(t)
			if c.content != "" {
				writePID(t, path, c.content)
			}
			runHook(t, h)
			h.Rotated(Notice{First: true}) // there is nobody yet whom it could wait for
			s := await(t, h, "failed", failed)
			if !strings.Contains(lastError(s), c.says) {
				t.Errorf("error %q, want %q", lastError(s), c.says)
			}
			l := listen(t).handle()
			began := time.Now()
			writePID(t, path, strconv.Itoa(l.pid()))
			l.hears("hup")
			t.Logf("told %v after the file was right", time.Since(began))
			await(t, h, "told", told)
		})
	}
}

// A directory of the path may come late, too.
func TestPIDFileWhoseDirectoryAppears(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "daemon")
	h := testHook(t, Spec{PIDFile: filepath.Join(dir, "pid")}, nil)
	runHook(t, h)
	h.Rotated(Notice{})
	await(t, h, "failed", failed)
	for range 3 { // and go again
		l := listen(t).handle()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writePID(t, filepath.Join(dir, "pid"), strconv.Itoa(l.pid()))
		l.hears("hup")
		await(t, h, "told", told)
		failures := h.Status().Failures
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Fatal(err)
		}
		h.Rotated(Notice{})
		await(t, h, "failed again", func(s Status) bool { return s.Failures > failures })
	}
}

func TestPIDFileThatIsAFIFODoesNotHoldUs(t *testing.T) {
	h, path := pidHook(t)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	runHook(t, h)
	h.Rotated(Notice{})
	s := await(t, h, "failed", failed)
	if !strings.Contains(lastError(s), "regular file") {
		t.Errorf("error %q", lastError(s))
	}
}

// The file's process has ended, and the kernel has given its pid to somebody
// who has nothing to do with it.
func TestPIDFileStaleWithAnInnocentProcess(t *testing.T) {
	h, path := pidHook(t)
	l := listen(t).handle()
	writePID(t, path, strconv.Itoa(l.pid()))
	old := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	runHook(t, h)
	for i := range uint64(5) {
		h.Rotated(Notice{})
		await(t, h, "asked", func(s Status) bool { return s.Asked == i+1 && s.Failures > 0 })
	}
	s := await(t, h, "tried again", func(s Status) bool { return s.Failures > 2 })
	if !strings.Contains(lastError(s), "stale") {
		t.Errorf("error %q", lastError(s))
	}
	l.unharmed()

	// the service comes back and says so
	again := listen(t).handle()
	writePID(t, path, strconv.Itoa(again.pid()))
	again.hears("hup")
	await(t, h, "told", told)
	l.unharmed()
}

func TestPIDFileReplacedMidRotation(t *testing.T) {
	h, path := pidHook(t)
	first, second := listen(t), listen(t).handle()
	writePID(t, path, strconv.Itoa(first.pid()))
	runHook(t, h)
	h.Rotated(Notice{})
	await(t, h, "asked", func(s Status) bool { return s.Asked == 1 })
	// first has no handler, so we wait for it: now it gives way to second
	writePID(t, path, strconv.Itoa(second.pid()))
	first.kill()
	second.hears("hup")
	await(t, h, "told", told)
}

// A rotation right after the start of a process must not end it.
func TestPIDFileSignalWaitsForTheHandler(t *testing.T) {
	h, path := pidHook(t)
	runHook(t, h)
	l := listen(t)
	writePID(t, path, strconv.Itoa(l.pid()))
	h.Rotated(Notice{})
	h.Rotated(Notice{})
	l.unharmed()
	if s := h.Status(); s.Delivered != 0 {
		t.Errorf("status %+v before the handler", s)
	}
	l.handle()
	l.hears("hup")
	await(t, h, "told", told)
}

func TestPIDFileSignalIsNotSentWithoutAHandler(t *testing.T) {
	t.Parallel()
	l := listen(t)
	t.Run("", func(t *testing.T) {
		h, path := pidHook(t)
		writePID(t, path, strconv.Itoa(l.pid()))
		runHook(t, h)
		h.Rotated(Notice{})
		s := await(t, h, "failed", failed)
		if !strings.Contains(lastError(s), "no handler") {
			t.Errorf("error %q", lastError(s))
		}
		l.unharmed()
	})
	l.unharmed()
}

// Whoever chooses SIGTERM means it.
func TestPIDFileSignalThatMeansTheEnd(t *testing.T) {
	t.Parallel()
	l := listen(t)
	t.Run("", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pid")
		writePID(t, path, strconv.Itoa(l.pid()))
		h := testHook(t, Spec{PIDFile: path, Signal: syscall.SIGTERM}, nil)
		runHook(t, h)
		h.Rotated(Notice{})
		await(t, h, "told", told)
	})
	<-l.ended
}

func TestPIDFileStopIsImmediate(t *testing.T) {
	h, path := pidHook(t)
	l := listen(t) // without a handler
	writePID(t, path, strconv.Itoa(l.pid()))
	stop := runHook(t, h)
	h.Rotated(Notice{})
	await(t, h, "asked", func(s Status) bool { return s.Asked == 1 })
	if took := stop(); took > signals.Patience/2 {
		t.Errorf("stop took %v", took)
	}
	l.unharmed()
}

// Whoever may write the file must not be able to choose whom a helper that runs
// as root signals.
func TestPIDFileOfSomebodyElse(t *testing.T) {
	f := &pidFile{path: "/run/x.pid", written: time.Now(), owner: 4242}
	p := process{pid: 1, started: time.Now().Add(-time.Hour), uids: []uint32{4241, 4241}}
	if err := f.vet(p); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("a file of uid 4242 and a process of uid 4241: %v", err)
	}
	for what, uids := range map[string][]uint32{"real": {4242, 0}, "effective": {0, 4242}} {
		p.uids = uids
		if err := f.vet(p); err != nil {
			t.Errorf("the owner's own process (%s): %v", what, err)
		}
	}
	p.uids = []uint32{33, 33}
	for _, owner := range []uint32{0, uint32(os.Geteuid())} {
		f.owner = owner
		if err := f.vet(p); err != nil {
			t.Errorf("a file of uid %d: %v", owner, err)
		}
	}
}

func TestPIDFileAge(t *testing.T) {
	written := time.Date(2026, 8, 1, 12, 0, 0, 5_000_000, time.UTC)
	whole := written.Truncate(time.Second)
	for _, c := range []struct {
		what             string
		written, started time.Time
		stale            bool
	}{
		{"long before", written, written.Add(-24 * time.Hour), false},
		{"just before", written, written.Add(-time.Millisecond), false},
		{"within a tick of the kernel's clock", written, written.Add(20 * time.Millisecond), false},
		{"within what a file system rounds", written, written.Add(1900 * time.Millisecond), false},
		{"after", written, written.Add(2100 * time.Millisecond), true},
		{"long after", written, written.Add(24 * time.Hour), true},
		{"whole seconds, within one", whole, whole.Add(900 * time.Millisecond), false},
		{"whole seconds, after", whole, whole.Add(3 * time.Second), true},
	} {
		f := &pidFile{written: c.written}
		err := f.vet(process{started: c.started, uids: []uint32{0}})
		if (err != nil) != c.stale {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func FuzzParsePID(f *testing.F) {
	for _, s := range []string{"1\n", "", " 12 \nrest", "-1", "0", "0x10", "1e3", "+5", "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if pid, err := parsePID(content); err == nil && (pid <= 0 || pid > 1<<31-1) {
			t.Errorf("pid %d from %q", pid, content)
		}
	})
}

func TestProcessName(t *testing.T) {
	dir := t.TempDir()
	// the kernel keeps 15 bytes, and it sees every process of the machine
	name := fmt.Sprintf("svid%011d-master", os.Getpid())
	noLeak(t)
	bin := filepath.Join(dir, name)
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, shell, 0o755); err != nil {
		t.Fatal(err)
	}
	h := testHook(t, Spec{ProcessName: name}, nil)
	runHook(t, h)
	h.Rotated(Notice{})
	s := await(t, h, "failed", failed)
	if !strings.Contains(lastError(s), name) {
		t.Errorf("error %q", lastError(s))
	}

	// a master with a worker of the same name, which must not be told
	cmd := exec.Command(bin, "-c", `
		trap 'echo master' HUP
		( trap 'echo worker' HUP; echo up; while [ $((n+=1)) -lt 1000 ]; do sleep 60 & wait $!; done ) &
		while [ $((n+=1)) -lt 1000 ]; do sleep 60 & wait $!; done`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	defer func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}()
	heard := make(map[string]bool) // the master may be found before its worker is up
	for range 2 {
		lines.Scan()
		heard[lines.Text()] = true
	}
	if !heard["up"] || !heard["master"] {
		t.Fatalf("the processes say %v", heard)
	}
	await(t, h, "told", told)
	h.Rotated(Notice{})
	if lines.Scan(); lines.Text() != "master" {
		t.Fatalf("told was %q", lines.Text())
	}
}

func TestProcessLookUp(t *testing.T) {
	before := time.Now()
	l := listen(t).handle()
	p, err := lookUpProcess(l.pid())
	if err != nil {
		t.Fatal(err)
	}
	if p.name != "sh" || p.parent != os.Getpid() || p.dead || p.uids[0] != uint32(os.Getuid()) {
		t.Errorf("%+v", p)
	}
	if p.started.Before(before.Add(-50*time.Millisecond)) || p.started.After(time.Now().Add(50*time.Millisecond)) {
		t.Errorf("started at %v, want about %v", p.started, before)
	}
}

func FuzzReadStat(f *testing.F) {
	f.Add([]byte("12 (a b) c) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8000 1 2 3"))
	f.Add([]byte("1 ()"))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, stat []byte) {
		new(process).readStat(stat)
		new(process).readStatus(stat)
	})
}

// A process that takes signals from a queue blocks them and has no handler.
func TestPIDFileOfAProcessThatBlocksTheSignal(t *testing.T) {
	cmd := exec.Command("env", "--block-signal=HUP", "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	h, path := pidHook(t)
	writePID(t, path, strconv.Itoa(cmd.Process.Pid))
	runHook(t, h)
	h.Rotated(Notice{})
	await(t, h, "told", told)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil || !strings.Contains(string(status), "ShdPnd:\t0000000000000001") {
		t.Errorf("the signal does not wait for the process: %v\n%s", err, status)
	}
}

// What a signal that means the end has ended is not followed: whoever takes its
// place has the new files.
func TestPIDFileOfAProcessThatIsRestarted(t *testing.T) {
	first, second := listen(t), listen(t)
	path := filepath.Join(t.TempDir(), "pid")
	writePID(t, path, strconv.Itoa(first.pid()))
	f := &replaced{pidFile: pidFile{path: path}, next: func() { writePID(t, path, strconv.Itoa(second.pid())) }}
	s := &signaller{sig: syscall.SIGKILL, finder: f, log: slog.New(slog.DiscardHandler)}
	if err := s.notify(t.Context(), Notice{}, false); err != nil {
		t.Fatal(err)
	}
	<-first.ended
	second.unharmed()
}

// And one that does not is: it may have read the old files.
func TestPIDFileReplacedAfterTheSignal(t *testing.T) {
	first, second := listen(t).handle(), listen(t).handle()
	path := filepath.Join(t.TempDir(), "pid")
	writePID(t, path, strconv.Itoa(first.pid()))
	f := &replaced{pidFile: pidFile{path: path}, next: func() { writePID(t, path, strconv.Itoa(second.pid())) }}
	s := &signaller{sig: syscall.SIGHUP, finder: f, log: slog.New(slog.DiscardHandler)}
	if err := s.notify(t.Context(), Notice{}, false); err != nil {
		t.Fatal(err)
	}
	first.hears("hup")
	second.hears("hup")

	// a file that is gone by then is no failure
	f.next = func() { os.Remove(path) }
	if err := s.notify(t.Context(), Notice{}, false); err != nil {
		t.Error(err)
	}
	second.hears("hup")
}

// replaced is a pid file that changes once its process has been vetted.
type replaced struct {
	pidFile
	next func()
}

func (r *replaced) vet(p process) error {
	defer r.next()
	return r.pidFile.vet(p)
}
