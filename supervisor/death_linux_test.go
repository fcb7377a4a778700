package supervisor

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The contract: the process does not outlive the helper.

func TestHelperIsKilled(t *testing.T) {
	var worst time.Duration
	for range 50 {
		h := startHelper(t, helperCommand(t, testChild("record", "-")))
		pid := h.ready()
		m := measure(func() {
			h.kill(syscall.SIGKILL)
			awaitGone(t, pid)
		})
		if m.beyond(time.Second) {
			t.Errorf("gone after %v, want a second at most", m)
		}
		worst = max(worst, m.took)
		h.want("SIGTERM") // it was asked, not killed
		_ = h.Wait()
	}
	t.Logf("50 helpers killed, the process was gone after %v at most", worst)
}

// The kernel forgets that the process was to end with the helper when it gains
// rights by its file.
func TestHelperOfAProcessWithMoreRightsIsKilled(t *testing.T) {
	needRoot(t)
	spec := testChild("record", "-")
	spec.Command[0] = withAnotherGroup(t, spec.Command[0])
	for range 3 {
		h := startHelper(t, helperCommand(t, spec))
		pid := h.ready()
		h.kill(syscall.SIGKILL)
		h.want("SIGTERM")
		awaitGone(t, pid)
		_ = h.Wait()
	}
}

// Its guard goes with it.
func TestGuardEndsWithTheProcess(t *testing.T) {
	needRoot(t)
	path, out := pipe(t)
	spec := testChild("record", path)
	spec.Command[0] = withAnotherGroup(t, spec.Command[0])
	s := supervise(t, spec)
	s.Rotated()
	out.ready()
	s.Stop()
	wantStatus(t, s.result(), 42) // a guard that stays is a goroutine that waits for it
}

// withAnotherGroup returns a copy of a program that is setgid to a group that is
// not ours.
func withAnotherGroup(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "setgid")
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	writeProgram(t, path, string(content), 0o755)
	if err = os.Chown(path, -1, 65534); err == nil {
		err = os.Chmod(path, 0o755|os.ModeSetgid)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A master that gets its stop signal takes its workers with it.
func TestHelperOfNginxIsKilled(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Geteuid() == 0 {
			t.Fatal("nginx is not installed")
		}
		t.Skip("nginx is not installed")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(`
worker_processes 3;
pid `+dir+`/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path `+dir+`/a; proxy_temp_path `+dir+`/b; fastcgi_temp_path `+dir+`/c;
	uwsgi_temp_path `+dir+`/d; scgi_temp_path `+dir+`/e;
	server { listen unix:`+dir+`/sock; }
}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var worst time.Duration
	for range 5 {
		h := startHelper(t, helperCommand(t, Spec{
			Command: []string{nginx, "-e", "stderr", "-p", dir, "-c", conf, "-g", "daemon off;"},
		}))
		pids := family(t, h.Process.Pid, 5) // the helper, a master, three workers
		m := measure(func() {
			h.kill(syscall.SIGKILL)
			for _, pid := range pids {
				if pid != h.Process.Pid {
					awaitGone(t, pid)
				}
			}
		})
		if m.beyond(time.Second) {
			t.Errorf("gone after %v, want a second at most", m)
		}
		worst = max(worst, m.took)
		_ = h.Wait()
		_ = os.Remove(filepath.Join(dir, "sock"))
	}
	t.Logf("5 helpers killed, nginx and its workers were gone after %v at most", worst)
}

// family waits until root and its descendants are n, and returns them.
func family(t *testing.T, root, n int) []int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		pids := descendants(t, root)
		if len(pids) == n {
			return pids
		}
		time.Sleep(5 * time.Millisecond) // there is no event for it
	}
	t.Fatalf("process %d and its descendants are %v, want %d", root, descendants(t, root), n)
	return nil
}

// descendants returns root and all that descend from it.
func descendants(t *testing.T, root int) []int {
	t.Helper()
	parents := map[int]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // gone
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		parents[pid], _ = strconv.Atoi(fields[1])
	}
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		for pid, parent := range parents {
			if parent == pids[i] {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// The death signal is sent when the thread that forked ends. The runtime may
// end any thread; not that one.
func TestProcessSurvivesTheRuntimesThreads(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	s := supervise(t, testChild("record", path))
	s.Rotated()
	out.ready()
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			runtime.LockOSThread() // and never unlock: the thread ends
			_ = unix.Gettid()
		})
	}
	wg.Wait()
	s.Signal(syscall.SIGUSR2)
	out.want("SIGUSR2") // not SIGTERM
	if st := s.Status(); st.State != StateRunning {
		t.Errorf("status %+v", st)
	}
	s.Signal(syscall.SIGTERM)
	wantStatus(t, s.result(), 42)
}
