//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReadySaysWhyThereIsNoIdentity: what is wrong with the socket, and what to
// do, when nothing has been published yet.
func TestReadySaysWhyThereIsNoIdentity(t *testing.T) {
	const nobody = 65534
	for name, c := range map[string]struct {
		socket func(t *testing.T, dir string) string
		says   []string
	}{
		"no socket": {
			func(_ *testing.T, dir string) string { return filepath.Join(dir, "none", "api.sock") },
			[]string{"no socket at ", "not even ", "start the agent that provides it, mount its directory here, or correct the address"},
		},
		"a stale socket": {
			boundSocket,
			[]string{"connection refused at ", "the agent is down or has left its socket behind"},
		},
		"no right to it": {
			func(t *testing.T, dir string) string {
				closed := filepath.Join(dir, "closed")
				if err := os.Mkdir(closed, 0o755); err != nil {
					t.Fatal(err)
				}
				socket := boundSocket(t, closed)
				if err := os.Chmod(closed, 0); err != nil {
					t.Fatal(err)
				}
				return socket
			},
			[]string{"permission denied on ", "check the rights of the socket and of the directories above it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "ready-") // open to another user
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			certs, address := filepath.Join(dir, "certs"), fmt.Sprintf("127.0.0.1:%d", freePort(t))
			config := filepath.Join(dir, "helper.conf")
			text := fmt.Sprintf("agent_address = %q\noutput %q {\n x509_svid {}\n}\nhealth { address = %q }\n", "unix://"+c.socket(t, dir), certs, address)
			if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			program, err := exec.LookPath("svidhelper")
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, "run", "-config", config)
			if os.Geteuid() == 0 {
				asNobody(t, cmd, dir, nobody)
			}
			log := newLines()
			cmd.Stderr = log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				_ = cmd.Wait()
				if t.Failed() {
					t.Log(log)
				}
			}()
			eventually(t, func() error {
				resp, err := http.Get("http://" + address + "/ready")
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				for _, want := range append(c.says, "not published yet") {
					if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), want) {
						return fmt.Errorf("%d %s %v; want %q", resp.StatusCode, body, err, want)
					}
				}
				return nil
			})
		})
	}
}

// boundSocket makes a socket on which nothing listens.
func boundSocket(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "api.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := os.Chmod(name, 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

// asNobody has a command run as another user, who gets a copy of the program: the
// test's own lies in a directory that is closed.
func asNobody(t *testing.T, cmd *exec.Cmd, dir string, uid int) {
	t.Helper()
	program, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = filepath.Join(dir, "svidhelper")
	if err := os.WriteFile(cmd.Path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "certs"), 0o755), os.Chown(filepath.Join(dir, "certs"), uid, uid)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
}
