package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() { childParts["undumpable"] = undumpableMain }

// hangingProgram returns a program that cannot be opened until the test ends, as
// on a network mount whose server is gone.
func hangingProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	writeProgram(t, path, "#!/bin/sh\n", 0o755)
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
	t.Cleanup(func() { unix.Close(fd) })
	return path
}

// A process whose exec hung held a lock that every other start, the reaper and
// the loop waited for.
func TestExecThatHangsHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	hangs := supervise(t, Spec{Command: []string{hangingProgram(t)}})
	hangs.Rotated()
	hangs.await("starting", func(st Status) bool { return st.State == StateStarting })

	collected := make(chan struct{})
	go func() {
		runtime.GC() // no thread may be in the middle of a fork for ever
		close(collected)
	}()
	select {
	case <-collected:
	case <-time.After(patience):
		t.Fatal("the whole program is held up")
	}
	wantStatus(t, run(t, Spec{Command: shell("exit 5")}), 5)

	m := measure(func() {
		hangs.Stop()
		wantStatus(t, hangs.result(), 0)
	})
	if m.beyond(time.Second) {
		t.Errorf("the stop of a process that hangs in its start took %v", m)
	}
}

// The kernel made the helper dumpable again when a child became another user.
func TestHelperStaysUndumpableAfterAStartAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root is needed to become another user")
	}
	const sysctl = "/proc/sys/fs/suid_dumpable"
	before, err := os.ReadFile(sysctl)
	if err == nil {
		err = os.WriteFile(sysctl, []byte("2"), 0o644)
	}
	if err != nil {
		t.Skipf("the system's fs.suid_dumpable cannot be set: %v", err)
	}
	defer func() { _ = os.WriteFile(sysctl, before, 0o644) }()
	cmd := exec.Command(testBinary())
	cmd.Env = append(os.Environ(), childVar+"=undumpable")
	out, err := cmd.CombinedOutput()
	if want := "0 before\n0 after a start\n0 after a check\n"; err != nil || string(out) != want {
		t.Errorf("PR_GET_DUMPABLE: %s(%v), want %s", out, err, want)
	}
}

// undumpableMain says how dumpable the helper is after what may change that.
func undumpableMain() int {
	say := func(when string) {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		fmt.Println(n, when)
		if err != nil {
			fmt.Println(err)
		}
	}
	err := ProtectMemory()
	say("before")
	spec := Spec{Command: []string{"true"}, User: "nobody", OnRotation: Rotation{Action: RotationNone}}
	s, bad := New(spec, discard)
	if err = errors.Join(err, bad); err != nil {
		fmt.Println(err)
		return 1
	}
	s.Rotated()
	err = s.Run(context.Background())
	say("after a start")
	err = errors.Join(err, spec.CheckReadable([]string{"/"}))
	say("after a check")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A guard that had died was a zombie at which the reaper stopped.
func TestGuardThatDiesIsReaped(t *testing.T) {
	t.Parallel()
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{Command: shell(`trap '(true &); echo orphan' USR1; echo up; linger`), Subreaper: true}
	spec.Command[0] = withAnotherGroup(t, sh)
	h := startHelper(t, helperCommand(t, spec))
	h.want("up")
	guard := 0
	for _, pid := range descendants(t, h.Process.Pid) {
		t.Cleanup(func() { // nothing else ends the process if the helper dies now
			if t.Failed() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.HasPrefix(string(line), guardian) {
			guard = pid
		}
	}
	if guard == 0 {
		t.Fatal("there is no guard")
	}
	if err := syscall.Kill(guard, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.kill(syscall.SIGUSR1)
	h.want("orphan")
	for end := time.Now().Add(patience); zombies(t, h.Process.Pid) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d zombies are left", zombies(t, h.Process.Pid))
		}
	}
	h.kill(syscall.SIGTERM)
	if got := h.status(); got != 143 {
		t.Errorf("status %d, want 143", got)
	}
}

// The workers of a master that was killed kept the port, and each new master
// failed to bind it. The directory is the port here.
func TestWhatIsLeftOfTheGroupEndsBeforeARestart(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	s := supervise(t, Spec{Restart: RestartAlways, Command: shell(`
		mkdir $1.port || { echo taken >>$1; exit 1; }
		(trap 'sleep 0.3; rmdir $1.port; exit' TERM; echo up >>$1; linger) &
		linger`, path)})
	s.Rotated()
	for range 3 {
		out.want("up")
		if err := syscall.Kill(s.running().PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	out.want("up")
	s.running()
	s.Stop()
	wantStatus(t, s.result(), 143)
}

func TestWhatIsLeftOfTheGroupEndsWithTheHelper(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	for name, script := range map[string]string{
		"at once":          `sleep 1000 & echo $! >>$1; exit 3`,
		"only when killed": `(trap '' TERM; sleep 1000) & echo $! >>$1; sleep 0.2; exit 3`,
	} {
		wantStatus(t, run(t, Spec{Command: shell(script, path), StopTimeout: 200 * time.Millisecond}), 3)
		var pid int
		fmt.Sscan(out.next(), &pid)
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) && !dead(pid) {
			t.Errorf("%s: process %d is left (%v)", name, pid, err)
		}
	}
}

// A PID 1 that does not reap held up every restart and every end for seconds.
func TestWhatIsNotReapedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if !groupLives(pid) {
		t.Error("a group that lives is not seen")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, pid)
	if err := syscall.Kill(-pid, 0); err != nil {
		t.Errorf("the group is gone already: %v", err)
	}
	if groupLives(pid) {
		t.Error("what has ended counts as alive")
	}
	_ = cmd.Wait()
}

// dead reports whether the process has ended, and is not reaped yet.
func dead(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// ignoredAtStart are the signals that the tests were started with ignored, and that
// what they start ignores as well: what make runs ignores 32 and 33.
var ignoredAtStart = ignoredBy("self")

// ignoredBy returns the set of signals that a process ignores.
func ignoredBy(pid string) (set uint64) {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	_, line, _ := strings.Cut(string(status), "SigIgn:")
	if n, scan := fmt.Sscanf(line, "%x", &set); n != 1 {
		panic(errors.Join(err, scan))
	}
	return set
}

// SIGRTMIN ended the helper, and the process with it.
func TestSignalsThatDoNotPassDoNotEndTheHelper(t *testing.T) {
	t.Parallel()
	h := startHelper(t, helperCommand(t, testChild("record", "-", "stubborn")))
	pid := h.ready()
	for _, sig := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGURG, syscall.SIGPROF, 32, 33, 34} {
		h.kill(sig)
	}
	h.kill(syscall.SIGUSR1)
	h.want("SIGUSR1")
	if more := ignoredBy(fmt.Sprint(pid)) &^ ignoredAtStart; more != 0 {
		t.Errorf("the process ignores what only the helper should: %016x", more)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	h.status()
}

// nginx without "daemon off" ended at once with status 0, and the log said no more
// than that.
func TestServerThatGoesIntoTheBackgroundIsHintedAt(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	s, err := New(chosen(Spec{Command: shell("exit 0")}), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s.Rotated()
	wantStatus(t, s.Run(t.Context()), 0)
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "daemon off") {
		t.Errorf("the log has no hint:\n%s", got)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
