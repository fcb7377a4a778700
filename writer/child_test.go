//go:build unix

package writer

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(taskVariable); task != "" {
		os.Exit(child(task))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if childDir != "" {
			os.RemoveAll(childDir)
		}
		os.Exit(code)
	}))
}

// Some things can only be shown on a process of its own: the test binary runs
// itself with a task in its environment.
const taskVariable = "SVIDHELPER_WRITER_TASK"

// A task is what a child process does.
type task struct {
	Kind   string // a key of tasks
	Output output
	Old    []File
	New    []File
	Umask  int // for tasks that set one
}

var tasks = map[string]func(task) error{
	"die at":  dieAt,
	"publish": publishForever,
	"open":    openAndWait,
	"sample":  sampleModes,
}

// child does a task and returns the exit status.
func child(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var job task
	if err := json.Unmarshal(data, &job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := tasks[job.Kind](job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

var (
	childOnce sync.Once
	childPath string
	childDir  string // to be removed at the end
)

// childBinary returns the binary that does tasks: this one, or, since the race
// detector makes a process slow to start and hundreds of them are, one without
// it. It lies where every user can execute it.
func childBinary(t testing.TB) string {
	t.Helper()
	childOnce.Do(func() {
		dir, err := os.MkdirTemp("", "writer-child")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		childDir, childPath = dir, filepath.Join(dir, "child")
		if raceEnabled && exec.Command("go", "test", "-c", "-o", childPath, ".").Run() == nil {
			return
		}
		data, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			childPath = os.Args[0]
			return
		}
		if err := os.WriteFile(childPath, data, 0o755); err != nil {
			t.Fatal(err)
		}
	})
	return childPath
}

// atVariable is the number of the system call after which to die.
const atVariable = "SVIDHELPER_WRITER_AT"

// childCommand returns the command that does a task.
func childCommand(t testing.TB, job task) *exec.Cmd { return childCommands(t, job)() }

// childCommands returns what makes commands that do a task.
func childCommands(t testing.TB, job task) func(env ...string) *exec.Cmd {
	t.Helper()
	data, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "task")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	binary := childBinary(t)
	return func(env ...string) *exec.Cmd {
		cmd := exec.Command(binary)
		// The race detector would wait a second at each exit.
		cmd.Env = append(append(os.Environ(), taskVariable+"="+file, "GORACE=atexit_sleep_ms=0"), env...)
		return cmd
	}
}

// killed reports whether a process was ended by SIGKILL.
func killed(err error) bool {
	exit, ok := err.(*exec.ExitError)
	return ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

func dieNow() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// dieAt publishes a set, and is killed within.
func dieAt(job task) error {
	h := &hook{}
	newFsys = func(_ string, r *root) fsys { return hooked{r, h} }
	d, err := Open(job.Output.Spec, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	syncers = 1
	d.fsync = true // in memory, it would be left out
	at, err := strconv.Atoi(os.Getenv(atVariable))
	if err != nil {
		return err
	}
	n := 0
	h.set(nil, func(string) {
		if n++; n == at {
			dieNow()
		}
	})
	_, err = d.Publish(job.New, nil)
	d.Close() // with what a publish leaves for later
	fmt.Println(n)
	return err
}

// publishForever publishes two sets in turn until it is killed. A kill that is
// very late finds it waiting: the previous generations of a second of publishes
// must have room.
func publishForever(job task) error {
	d, err := Open(job.Output.Spec, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	for i := range 1000 {
		files := job.Old
		if i%2 == 1 {
			files = job.New
		}
		if _, err := d.Publish(files, nil); err != nil {
			return err
		}
		if i == 1 {
			fmt.Println("publishing")
		}
	}
	<-time.After(time.Hour)
	return nil
}

// openAndWait opens the directory, says how long that took, and keeps it until
// its input ends.
func openAndWait(job task) error {
	start := time.Now()
	d, err := Open(job.Output.Spec, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return nil
	}
	defer d.Close()
	fmt.Println("open after", time.Since(start))
	_, err = os.Stdin.Read(make([]byte, 1))
	if err != nil && err.Error() == "EOF" {
		return nil
	}
	return err
}
