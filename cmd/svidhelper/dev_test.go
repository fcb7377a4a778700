//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A devProgram is `svidhelper dev` as the operating system runs it.
type devProgram struct {
	*exec.Cmd
	t              *testing.T
	stdin          io.Writer
	runtime        string // its XDG_RUNTIME_DIR
	stdout, stderr *bufio.Scanner
}

// startDev runs the test's own binary by the name of the program, which makes
// it the program.
func startDev(t *testing.T, args ...string) *devProgram {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = append([]string{"svidhelper", "dev"}, args...)
	runtime := shortDir(t)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+runtime, "GORACE=atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &devProgram{cmd, t, stdin, runtime, bufio.NewScanner(stdout), bufio.NewScanner(stderr)}
}

// shortDir returns a directory whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dev")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// await returns the next line that holds the text.
func (p *devProgram) await(from *bufio.Scanner, text string) string {
	p.t.Helper()
	var seen []string
	for from.Scan() {
		if strings.Contains(from.Text(), text) {
			return from.Text()
		}
		seen = append(seen, from.Text())
	}
	p.t.Fatalf("no line with %q; there were:\n%s", text, strings.Join(seen, "\n"))
	return ""
}

// status waits for the end and returns the exit status, and what else was on
// stderr.
func (p *devProgram) status() (code int, rest string) {
	p.t.Helper()
	var lines []string
	for p.stderr.Scan() {
		lines = append(lines, p.stderr.Text())
	}
	err := p.Wait()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		p.t.Fatal(err)
	}
	return p.ProcessState.ExitCode(), strings.Join(lines, "\n")
}

func (p *devProgram) send(sig os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

func TestDevServesUntilItIsToldToEnd(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := startDev(t, "-id", "spiffe://example.org/a,hint=external,dns=a.example", "-id", "spiffe://example.org/b",
			"-dns", "localhost", "-federated", "far.example", "-key-type", "ec-p384", "-ttl", "30m")
		p.stderr.Scan()
		if line := p.stderr.Text(); !strings.Contains(line, "for development only") {
			t.Errorf("first line of the log: %s", line)
		}
		address, ok := strings.CutPrefix(p.await(p.stdout, "SPIFFE_ENDPOINT_SOCKET"), "export SPIFFE_ENDPOINT_SOCKET=")
		if !ok {
			t.Fatal("stdout is not a line for a shell")
		}
		socket := strings.TrimPrefix(address, "unix://")
		if info, err := os.Stat(filepath.Dir(socket)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the socket's directory: %v, %v", info.Mode(), err)
		}

		x509, err := workloadapi.FetchX509Context(t.Context(), workloadapi.WithAddr(address))
		if err != nil {
			t.Fatal(err)
		}
		if len(x509.SVIDs) != 2 || x509.SVIDs[0].Hint != "external" || x509.SVIDs[1].ID.Path() != "/b" {
			t.Errorf("SVIDs: %v", x509.SVIDs)
		}
		leaf := x509.SVIDs[0].Certificates[0]
		for _, name := range []string{"a.example", "localhost"} {
			if err := leaf.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
		if left := time.Until(leaf.NotAfter); left > 31*time.Minute || left < 25*time.Minute {
			t.Errorf("%v left of 30 minutes", left)
		}
		if !x509.Bundles.Has(spiffeid.RequireTrustDomainFromString("far.example")) {
			t.Error("no federated bundle")
		}

		p.send(syscall.SIGUSR1)
		line := p.await(p.stderr, "rotated")
		again, err := workloadapi.FetchX509SVID(t.Context(), workloadapi.WithAddr(address))
		if err != nil {
			t.Fatal(err)
		}
		now := again.Certificates[0]
		for _, want := range []string{"spiffe_id=spiffe://example.org/a", "serial=" + snapshot.Serial(now.SerialNumber), "expires="} {
			if !strings.Contains(line, want) {
				t.Errorf("the line of the rotation lacks %s: %s", want, line)
			}
		}
		if now.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
			t.Error("SIGUSR1 did not rotate")
		}

		p.send(sig)
		if code, rest := p.status(); code != 0 {
			t.Errorf("%v: exit status %d\n%s", sig, code, rest)
		}
		if _, err := os.Stat(filepath.Dir(socket)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket's directory is still there: %v", err)
		}
	}
}

func TestDevExitsWithItsCommandsStatus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		command []string
		want    int
	}{
		"success":     {[]string{"true"}, 0},
		"failure":     {[]string{"sh", "-c", "exit 7"}, 7},
		"killed":      {[]string{"sh", "-c", "kill -9 $$"}, 137},
		"missing":     {[]string{file + "-that-is-not"}, 127},
		"not for run": {[]string{file}, 126},
		"socket":      {[]string{"sh", "-c", `test -S "${SPIFFE_ENDPOINT_SOCKET#unix://}"`}, 0},
	} {
		p := startDev(t, append([]string{"--"}, test.command...)...)
		if code, rest := p.status(); code != test.want {
			t.Errorf("%s: exit status %d, want %d\n%s", name, code, test.want, rest)
		}
		if left, _ := filepath.Glob(filepath.Join(p.runtime, "*")); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}

// Signals reach the command, except the one that rotates, which would end it.
func TestDevPassesSignalsOn(t *testing.T) {
	for _, sig := range []string{"INT", "TERM"} {
		p := startDev(t, "--", "sh", "-c", "trap 'exit 9' "+sig+"; echo ready; while read x; do :; done")
		p.await(p.stdout, "ready")
		var nudging sync.WaitGroup
		nudging.Go(func() { // a shell can miss a signal that comes right before it reads
			for err := error(nil); err == nil; time.Sleep(20 * time.Millisecond) {
				_, err = io.WriteString(p.stdin, "\n")
			}
		})
		p.send(syscall.SIGUSR1)
		p.await(p.stderr, "rotated")
		p.send(map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}[sig])
		if code, rest := p.status(); code != 9 {
			t.Errorf("SIG%s: exit status %d, want 9\n%s", sig, code, rest)
		}
		nudging.Wait() // its pipe is closed
	}
}

func TestDevSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "new", "api.sock")
	p := startDev(t, "-socket", path, "-socket-mode", "0660")
	if line := p.await(p.stdout, "SPIFFE_ENDPOINT_SOCKET"); !strings.HasSuffix(line, "=unix://"+path) {
		t.Errorf("printed %s", line)
	}
	for path, mode := range map[string]fs.FileMode{path: 0o660, filepath.Dir(path): 0o750} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%v, %v", info, err)
		}
	}

	second := startDev(t, "-socket", "unix://"+path)
	if code, rest := second.status(); code != 1 || !strings.Contains(rest, "served by another process") {
		t.Errorf("over a live socket: exit status %d\n%s", code, rest)
	}
	if _, err := workloadapi.FetchX509SVID(t.Context(), workloadapi.WithAddr("unix://"+path)); err != nil {
		t.Errorf("the first does not serve any more: %v", err)
	}

	p.send(syscall.SIGKILL)
	p.status()
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		t.Fatal("still served")
	}
	third := startDev(t, "-socket", path)
	third.await(third.stdout, "SPIFFE_ENDPOINT_SOCKET")
	third.send(syscall.SIGTERM)
	if code, rest := third.status(); code != 0 {
		t.Errorf("over a stale socket: exit status %d\n%s", code, rest)
	}
}

func TestDevRefusesWrongFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-id", "web"},
		{"-id", "spiffe://example.org/a,color=red"},
		{"-federated", "far example"},
		{"-key-type", "rsa"},
		{"-jwt-alg", "HS256"},
		{"-ttl", "soon"},
		{"-ttl", "-1s"},
		{"-socket-mode", "rw"},
		{"-unknown"},
		{"-id", "spiffe://example.org/a", "-id", "spiffe://example.org/a"},
		{"-id", "spiffe://example.org/a,hint=x", "-id", "spiffe://example.org/b,hint=x"},
		{"-id", "spiffe://example.org/a,hint=" + strings.Repeat("h", 1025)},
		{"command", "without", "dashes"},
	} {
		var stdout, stderr strings.Builder
		if code := runDev(args, &stdout, &stderr); code != exitUsage {
			t.Errorf("%q: exit status %d, want %d", args, code, exitUsage)
		}
		if stderr.Len() == 0 || stdout.Len() != 0 {
			t.Errorf("%q: stdout %q, stderr %q", args, stdout.String(), stderr.String())
		}
	}
}
