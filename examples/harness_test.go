//go:build linux

// Package examples_test runs every example with the real svidhelper and the
// real servers, as a user would.
package examples_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
)

// svidhelper is the path of the program under test, built once by TestMain.
var svidhelper string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == deafServer {
		serveDeaf(os.Args[2], os.Args[3])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == peerService {
		servePeer(os.Args[2], os.Args[3], os.Args[4])
		return
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "svidhelper-examples-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Servers are where an unprivileged user's PATH does not look.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// A server's unprivileged user must be able to execute it.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	svidhelper = filepath.Join(dir, "svidhelper")
	build := exec.Command("go", "build", "-tags", "grpcnotrace,nethttpomithttp2", "-o", svidhelper, "../cmd/svidhelper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building svidhelper: %v\n%s", err, out)
		return 1
	}
	// The tests mostly wait for other processes and for clocks. What the command
	// line says takes precedence: it is parsed later.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// need skips the test when a program of the distribution's is missing, or fails
// it where nothing may be skipped.
func need(t *testing.T, program string) string {
	t.Helper()
	matches, _ := filepath.Glob(program)
	if len(matches) > 0 {
		return matches[len(matches)-1]
	}
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("SVIDHELPER_TEST_STRICT") != "" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
	return ""
}

// A running is a program that the test has started and will have stopped.
type running struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has exited
	out  *output
}

// start runs a program with its output captured; it is killed at the end of the
// test if it still runs.
func start(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	p := &running{t: t, cmd: cmd, done: make(chan struct{}), out: &output{changed: make(chan struct{})}}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), p.out)
		}
	})
	return p
}

// stop sends sig, waits for the end, and returns the exit status.
func (p *running) stop(sig syscall.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(2 * patience): // some write to a disk first
		p.t.Fatalf("still running %v after %v", 2*patience, sig)
	}
	return p.cmd.ProcessState.ExitCode()
}

// children returns the pids of the program's direct children.
func (p *running) children() []string {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	var pids []string
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		pids = append(pids, strings.Fields(string(b))...)
	}
	return pids
}

// said waits until the program has written a line with all of the words, or has
// ended, and fails the test if it never does.
func (p *running) said(words ...string) {
	p.t.Helper()
	timeout := time.After(patience)
	for ended := false; ; {
		text, changed := p.out.look()
		switch {
		case holdsLine(text, words):
			return
		case ended:
			p.t.Errorf("it ended and never said %q", words)
			return
		}
		select {
		case <-changed:
		case <-p.done:
			ended = true
		case <-timeout:
			p.t.Errorf("it does not say %q", words)
			return
		}
	}
}

func holdsLine(text string, words []string) bool {
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return true
		}
	}
	return false
}

// An output keeps what a program writes, and can be waited on.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed and replaced when buf grows
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buf.Write(p)
}

// look returns what was written, and what hears of more.
func (o *output) look() (text string, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String(), o.changed
}

func (o *output) String() string {
	text, _ := o.look()
	return text
}

// adapt copies a file of an example into dir with some strings replaced, and
// fails when one of them is not there: an example whose text has moved on must
// not be tested by half.
func adapt(t *testing.T, example, dir string, oldnew ...string) string {
	t.Helper()
	b, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("%s no longer holds %q", example, oldnew[i])
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return adaptText(t, text, dir, filepath.Base(example))
}

// adaptText writes a file of dir and returns its path.
func adaptText(t *testing.T, text, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// glob returns the files that match, of which there must be some.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file matches %s (%v)", pattern, err)
	}
	return files
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

// patience is how long a test waits for what has to happen on a busy machine.
const patience = 30 * time.Second

// unhurried has a test of what happens within a timeout try it with ever longer
// ones: a busy machine may hold up a server for as long as a timeout lasts.
func unhurried(t *testing.T, timeout time.Duration, try func(timeout time.Duration) error) {
	t.Helper()
	for ; ; timeout *= 2 {
		err := try(timeout)
		if err == nil {
			return
		}
		if timeout > patience/2 {
			t.Error(err)
			return
		}
		t.Logf("with a timeout of %v: %v", timeout, err)
	}
}

// deadline is a context for one test.
func deadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// needRoot skips the test, or fails it where nothing may be skipped, when it does
// not run as root.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("SVIDHELPER_TEST_STRICT") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
