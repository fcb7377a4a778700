package hook

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Any local user can start a process of that name, with a lower pid and no
// handler. The real one was never told then.
func TestProcessNameTriesEveryMatch(t *testing.T) {
	name := fmt.Sprintf("svid%d", os.Getpid())
	bin := filepath.Join(t.TempDir(), name)
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, shell, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(bin); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755) // for another user
	}
	start := func(script string, uid uint32) *bufio.Reader {
		t.Helper()
		cmd := exec.Command(bin, "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		if os.Geteuid() == 0 {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := cmd.StdinPipe() // its end is the process's
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			in.Close()
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		r := bufio.NewReader(out)
		if line, err := r.ReadString('\n'); line != "up\n" {
			t.Fatal(line, err)
		}
		return r
	}
	start(`echo up; read x`, 65534)
	real := start(`trap 'echo hup' HUP; echo up; while [ $((n+=1)) -lt 1000 ]; do read x; done`, uint32(os.Geteuid()))

	all := testHook(t, Spec{ProcessName: name}, nil)
	stop := runHook(t, all)
	all.Rotated(Notice{})
	if line, err := real.ReadString('\n'); line != "hup\n" {
		t.Fatal(line, err)
	}
	s := await(t, all, "failed", failed) // for the other one, which has no handler
	if !strings.Contains(lastError(s), "no handler") || s.Delivered != 0 {
		t.Errorf("status %+v", s)
	}
	stop()
	if os.Geteuid() != 0 {
		return
	}
	owned := testHook(t, Spec{ProcessName: name, Owner: "root"}, nil)
	runHook(t, owned)
	owned.Rotated(Notice{})
	await(t, owned, "told", told)
	// Once for this hook, and once in all for the attempts of the other.
	if line, err := real.ReadString('\n'); line != "hup\n" {
		t.Error(line, err)
	}
	if n := real.Buffered(); n > 0 {
		t.Errorf("it was told once too often: %d bytes", n)
	}
}

// On a machine without a battery for its clock, every pid file that was written
// before the clock was set seemed stale.
func TestPIDFileFromBeforeTheClockWasSet(t *testing.T) {
	now := time.Now()
	p := process{started: now.Add(-time.Minute), boot: now.Add(-2 * time.Minute), uids: []uint32{0, 0}}
	log := new(hookLog)
	f := &pidFile{path: "/run/x.pid", written: time.Date(1970, 1, 1, 0, 0, 5, 0, time.UTC), log: log.logger()}
	if err := f.vet(p); err != nil {
		t.Errorf("refused: %v", err)
	}
	if log.count("level=WARN") != 1 {
		t.Errorf("log %q, want a warning", log.lines)
	}
	f = &pidFile{path: "/run/x.pid", written: p.boot.Add(time.Second), log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if err := f.vet(p); err == nil {
		t.Error("a pid file of a process that is gone is accepted")
	}
}
