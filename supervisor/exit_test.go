//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The contract: the helper ends as its process ended.

func TestExitStatusOneForOne(t *testing.T) {
	t.Parallel()
	for code := range 256 {
		wantStatus(t, run(t, Spec{Command: shell(fmt.Sprintf("exit %d", code))}), code)
	}
}

var deaths = []syscall.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT,
	syscall.SIGKILL, syscall.SIGTERM, syscall.SIGSEGV,
}

func TestDeathBySignalIs128Plus(t *testing.T) {
	t.Parallel()
	for _, sig := range deaths {
		err := run(t, Spec{Command: shell(fmt.Sprintf("ulimit -c 0; kill -%d $$", sig))})
		wantStatus(t, err, 128+int(sig))
	}
}

// A helper that is stopped ends with its process's status, too, whatever would
// have followed otherwise.
func TestStatusInEveryRestartMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []RestartPolicy{RestartNever, RestartOnFailure, RestartAlways, RestartOnRotation} {
		for script, want := range map[string]int{
			`sleep 0.05 & exec sleep 1000`:                               143,
			`trap 'exit 3' TERM; echo >$1; while sleep 0.05; do :; done`: 3,
			`trap 'exit 0' TERM; echo >$1; while sleep 0.05; do :; done`: 0,
		} {
			t.Run(fmt.Sprintf("%s %d", mode, want), func(t *testing.T) {
				t.Parallel()
				path, out := pipe(t)
				s := supervise(t, Spec{Command: shell(script, path), Restart: mode})
				s.Rotated()
				s.running()
				if strings.Contains(script, "trap") {
					out.next()
				}
				s.Signal(syscall.SIGTERM)
				wantStatus(t, s.result(), want)
			})
		}
	}
}

func TestCommandThatCannotBeExecuted(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		writeProgram(t, path, content, mode)
		return path
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	write("plain", "#!/bin/sh\n", 0o644)
	for name, c := range map[string]struct {
		command string
		code    int
		hint    string
	}{
		"no such path":      {"/no/such/command", 127, "give its full path"},
		"not in PATH":       {"no-such-command-anywhere", 127, "PATH"},
		"no x bit":          {filepath.Join(dir, "plain"), 126, "mode"},
		"no x bit, in PATH": {"plain", 126, "mode"},
		"a directory":       {dir, 126, "is a directory"},
		"below a file":      {filepath.Join(dir, "plain", "x"), 127, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(chosen(Spec{Command: []string{c.command}}), nil)
			var exit *ExitError
			if !errors.As(err, &exit) || exit.Code != c.code || !strings.Contains(err.Error(), c.hint) {
				t.Errorf("New: %v, want code %d and %q", err, c.code, c.hint)
			}
		})
	}
	// What only the attempt can tell.
	for name, c := range map[string]struct {
		path string
		code int
	}{
		"no program":             {write("text", "\x00\x01\x02 neither", 0o755), 126},
		"interpreter is missing": {write("script", "#!/no/such/interpreter\n", 0o755), 127},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []RestartPolicy{RestartNever, RestartAlways} { // RestartOnRotation tries again
				wantStatus(t, run(t, Spec{Command: []string{c.path}, Restart: mode}), c.code)
			}
		})
	}
}

// A command is looked for where the process looks.
func TestCommandInDirAndPath(t *testing.T) {
	base := t.TempDir()
	for name, code := range map[string]string{"d/tool": "1", "d/bin/tool": "2", "bin/tool": "3", "bin/first": "4", "d/bin/first": "x"} {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o755)
		if code == "x" {
			mode = 0o644
		}
		writeProgram(t, path, "#!/bin/sh\nexit "+code+"\n", mode)
	}
	t.Chdir(base)
	t.Setenv("PATH", "bin:/usr/bin:/bin")
	for _, c := range []struct {
		spec Spec
		want int
	}{
		{Spec{Command: []string{"./tool"}, Dir: "d"}, 1},
		{Spec{Command: []string{"tool"}, Dir: "d"}, 2},
		{Spec{Command: []string{"tool"}}, 3},
		{Spec{Command: []string{"tool"}, Env: []string{"PATH=" + base + "/d"}}, 1},
		{Spec{Command: []string{"bin/tool"}}, 3},
		// One that cannot be executed does not hide one that can.
		{Spec{Command: []string{"first"}, Env: []string{"PATH=d/bin:bin:/bin"}}, 4},
		{Spec{Command: []string{"first"}, Dir: "d"}, 126},
	} {
		wantStatus(t, run(t, c.spec), c.want)
	}
}
