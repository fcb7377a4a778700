package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"golang.org/x/sys/unix"
)

// The contract: as PID 1, or as a subreaper, the helper reaps every orphan, and
// never takes a status that somebody waits for.

func init() { childParts["reap"] = reapMain }

// asPID1 makes the command the first process of a PID namespace.
func asPID1(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	if os.Geteuid() == 0 {
		return
	}
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	try := exec.Command("true")
	try.SysProcAttr = cmd.SysProcAttr
	if err := try.Run(); err != nil {
		t.Skipf("neither root nor user namespaces: %v", err)
	}
}

// zombies returns how many descendants of root are dead and not reaped.
func zombies(t *testing.T, root int) (n int) {
	t.Helper()
	for _, pid := range descendants(t, root) {
		stat, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
		if err == nil && strings.Contains(string(stat), ") Z ") {
			n++
		}
	}
	return n
}

func TestPID1LeavesNothing(t *testing.T) {
	t.Parallel()
	cmd := helperCommand(t, Spec{Command: shell(`
		trap 'exit 7' TERM
		for i in 1 2 3 4 5 6 7 8 9 10; do
			(true | true | true &)
			(sleep 1000 | cat | cat >/dev/null &)
			(sh -c 'sleep 0.1; exit 3' &)
		done
		sleep 0.2
		echo up
		linger`)})
	asPID1(t, cmd)
	h := startHelper(t, cmd)
	h.want("up")
	// The helper, the shell and its sleep, and thirty of the pipelines that stay.
	var pids []int
	for end := time.Now().Add(patience); ; {
		pids = descendants(t, h.Process.Pid)
		if len(pids) <= 33 && zombies(t, h.Process.Pid) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d descendants, %d zombies", len(pids), zombies(t, h.Process.Pid))
		}
	}
	if len(pids) < 32 {
		t.Errorf("%d descendants, want those of ten pipelines", len(pids))
	}
	h.kill(syscall.SIGTERM)
	if got := h.status(); got != 7 {
		t.Errorf("status %d, want 7", got)
	}
	for _, pid := range pids[1:] {
		awaitGone(t, pid)
	}
	t.Logf("%d processes, none left", len(pids))
}

// A thousand orphans that die at once are reaped within a second. What else the
// machine does can spoil a measurement, not three.
func TestThousandOrphans(t *testing.T) {
	for _, pid1 := range []bool{true, false} {
		t.Run(fmt.Sprintf("PID 1 %v", pid1), func(t *testing.T) {
			for range 3 {
				m := reapThousand(t, pid1)
				t.Logf("1000 orphans reaped %v after their death", m)
				if !m.beyond(time.Second) {
					return
				}
			}
			t.Error("more than a second, three times")
		})
	}
}

// reapThousand measures how long a thousand orphans stay after their death.
func reapThousand(t *testing.T, pid1 bool) measurement {
	t.Helper()
	script := shell(`
		trap 'exit 7' TERM
		sh -c 'i=0; while [ $i -lt 1000 ]; do : <"$1" & echo $!; i=$((i+1)); done' sh "$2" >"$1"
		echo up
		read go
		kill -9 $(cat "$1")
		echo killed
		linger`)
	dir := t.TempDir()
	pidFile, fifo := filepath.Join(dir, "pids"), filepath.Join(dir, "fifo")
	// To open it takes until somebody writes: nothing has to be executed for a
	// thousand that wait.
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() { // if the test has failed, nobody has killed them
		if f, err := os.OpenFile(fifo, os.O_RDWR, 0); err == nil {
			f.Close()
		}
	}()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := helperCommand(t, Spec{Command: append(script, pidFile, fifo), Subreaper: !pid1})
	if pid1 {
		asPID1(t, cmd)
	}
	cmd.Stdin = in
	h := startHelper(t, cmd)
	in.Close()
	h.want("up")
	if n := len(descendants(t, h.Process.Pid)); n < 1000 {
		t.Errorf("%d descendants, want a thousand orphans", n)
	}
	fmt.Fprintln(out)
	h.want("killed")
	m := measure(func() {
		for n, began := 1000, time.Now(); n > 3; {
			n = len(descendants(t, h.Process.Pid))
			if time.Since(began) > patience {
				t.Fatalf("%d left", n)
			}
		}
	})
	h.kill(syscall.SIGTERM)
	if got := h.status(); got != 7 {
		t.Errorf("status %d, want 7", got)
	}
	return m
}

// reapMain reaps orphans while it runs commands that make some, and checks that
// each command's status is its own.
func reapMain() int {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
		return 1
	}
	stop := child.ReapOrphans()
	var wg sync.WaitGroup
	wrong := make(chan error, 1000)
	for i := range 300 {
		wg.Go(func() {
			want := i % 200
			cmd := exec.Command("sh", "-c", fmt.Sprintf("(exit 9 >&- &); (sh -c 'exit 8' >&- &); exit %d", want))
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = child.Start(cmd)
			}
			if err != nil {
				wrong <- err
				return
			}
			// Give the reaper the first look: the command has closed its output.
			_, _ = io.Copy(io.Discard, out)
			time.Sleep(5 * time.Millisecond)
			err = child.Wait(cmd)
			var exit *exec.ExitError
			if want == 0 && err == nil || errors.As(err, &exit) && exit.ExitCode() == want {
				return
			}
			wrong <- fmt.Errorf("want status %d: %w", want, err)
		})
	}
	wg.Wait()
	close(wrong)
	for err := range wrong {
		fmt.Println(err)
	}
	// The last orphans may still be on their way.
	for end := time.Now().Add(patience); ; {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.ECHILD) {
			break
		}
		if time.Now().After(end) {
			fmt.Println("orphans are left")
			break
		}
	}
	stop()
	fmt.Println("done")
	return 0
}

func TestNoStatusIsStolen(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(testBinary())
	cmd.Env = append(os.Environ(), childVar+"=reap")
	out, err := cmd.Output()
	if string(out) != "done\n" || err != nil {
		t.Errorf("%s%v", out, err)
	}
}
