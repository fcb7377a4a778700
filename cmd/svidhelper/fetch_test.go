//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// A fetching is the real program with the subcommand fetch.
type fetching struct {
	*exec.Cmd
	t     *testing.T
	file  string
	certs string
	says  *lines
}

// newFetch is to fetch an X.509-SVID and a token from the Workload API at
// address; args come last. It does not run yet.
func newFetch(t *testing.T, address string, args ...string) *fetching {
	t.Helper()
	dir := t.TempDir()
	f := &fetching{t: t, file: filepath.Join(dir, "helper.conf"), says: newLines()}
	f.useDir(filepath.Join(dir, "certs"))
	f.Cmd = exec.Command("svidhelper", append([]string{"fetch", "-config", f.file}, args...)...)
	f.Env = append(f.Environ(), "SPIFFE_ENDPOINT_SOCKET="+address, "GORACE=atexit_sleep_ms=0")
	f.Stdout, f.Stderr = f.says, f.says
	return f
}

// useDir has everything written to certs.
func (f *fetching) useDir(certs string) {
	f.t.Helper()
	f.certs = certs
	text := fmt.Appendf(nil, "output %q {\n x509_svid {}\n jwt_svid {\n audience = [\"vault\"]\n file = \"vault.jwt\"\n }\n}\n", certs)
	if err := os.WriteFile(f.file, text, 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fetching) start() {
	f.t.Helper()
	if err := f.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if f.ProcessState == nil {
			_ = f.Process.Kill()
			_ = f.Wait()
		}
		if f.t.Failed() {
			f.t.Logf("it said:\n%s", f.says)
		}
	})
}

func startFetch(t *testing.T, address string, args ...string) *fetching {
	t.Helper()
	f := newFetch(t, address, args...)
	f.start()
	return f
}

// end waits for the end and returns the exit status and the last line.
func (f *fetching) end() (code int, last string) {
	_ = f.Wait()
	said := strings.Split(strings.TrimSpace(f.says.String()), "\n")
	return f.ProcessState.ExitCode(), said[len(said)-1]
}

// TestFetchIsStopped: SIGTERM and SIGINT end a fetch that waits, whatever for,
// within 100 ms, and that is no success: what comes after it must not run
// without its files.
func TestFetchIsStopped(t *testing.T) {
	serve := func(fault func(*devapi.Faults), rpc devapi.RPC) func(*testing.T) (string, func(*fetching)) {
		return func(t *testing.T) (string, func(*fetching)) {
			api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
			fault(faults)
			return api.Addr(), func(*fetching) {
				if err := faults.WaitAttempts(t.Context(), rpc, 1); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for _, c := range []struct {
		name string
		wait func(*testing.T) (address string, until func(*fetching))
		sig  syscall.Signal
	}{
		{"no socket", func(t *testing.T) (string, func(*fetching)) {
			return "unix://" + devapitest.Socket(t), func(f *fetching) { f.says.await(t, "not connected") }
		}, syscall.SIGTERM},
		{"a socket that never answers", silentSocket, syscall.SIGTERM},
		{"no answer", serve(func(f *devapi.Faults) { f.Hang() }, devapi.FetchX509SVID), syscall.SIGTERM},
		{"no identity", serve(func(f *devapi.Faults) { f.Deny() }, devapi.FetchX509SVID), syscall.SIGTERM},
		{"the token is late", serve(func(f *devapi.Faults) { f.Hang(devapi.FetchJWTSVID) }, devapi.FetchJWTSVID), syscall.SIGTERM},
		{"the token is denied", serve(func(f *devapi.Faults) { f.Deny(devapi.FetchJWTSVID) }, devapi.FetchJWTSVID), syscall.SIGINT},
	} {
		t.Run(c.name, func(t *testing.T) {
			// What else the machine does can spoil a measurement, not three.
			for range 3 {
				address, until := c.wait(t)
				if stopFetch(t, address, until, c.sig) <= 100*time.Millisecond {
					return
				}
			}
			t.Error("it took longer than 100ms three times")
		})
	}
}

// stopFetch has a fetch ended by sig, and returns how long that took, without
// what the machine took.
func stopFetch(t *testing.T, address string, until func(*fetching), sig syscall.Signal) time.Duration {
	t.Helper()
	f := startFetch(t, address, "-timeout", "1h", "--", "echo", "ran")
	until(f)
	p, begin := testbed.StartPulse(), time.Now()
	if err := f.Process.Signal(sig); err != nil {
		t.Error(err)
	}
	code, last := f.end()
	took, late := time.Since(begin), p.Stop()
	t.Logf("ended %v after the signal; the machine was late by up to %v", took, late)
	if code != exitFailure || !strings.Contains(last, "nothing was written") {
		t.Errorf("exit status %d after %q", code, last)
	}
	if _, err := os.Lstat(f.certs); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
	return took - hops*late
}

// silentSocket listens, accepts, and says nothing.
func silentSocket(t *testing.T) (address string, until func(*fetching)) {
	socket := devapitest.Socket(t)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	t.Cleanup(func() { l.Close() })
	return "unix://" + socket, func(*fetching) {
		c := <-accepted
		t.Cleanup(func() { c.Close() })
	}
}

// TestFetchStoppedWhilePublishing: a signal that comes too late to stop the
// files still stops the command: whoever sent it waits for an end.
func TestFetchStoppedWhilePublishing(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	ran := filepath.Join(t.TempDir(), "ran")
	f := newFetch(t, api.Addr(), "--", "touch", ran)
	// The directory is held by somebody: that is waited for, for a moment.
	if err := os.Mkdir(f.certs, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(f.certs, "..lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	f.start()
	f.says.await(t, "receiving")
	f.says.await(t, "receiving") // everything is there
	if err := f.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	eventually(t, func() error { return pending(f.Process.Pid) })
	lock.Close()
	if code, last := f.end(); code != exitFailure {
		t.Errorf("exit status %d after %q", code, last)
	}
	if _, err := os.Lstat(ran); !os.IsNotExist(err) {
		t.Error("the command was run")
	}
}

// pending returns an error while a signal has been sent to a process, and none
// of its threads has run to take it. Where the system does not say so, it is nil.
func pending(pid int) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || strings.Contains(string(status), "ShdPnd:\t0000000000000000\n") {
		return nil
	}
	return fmt.Errorf("a signal is pending:\n%s", status)
}

// TestFetchBecomesItsCommand: same process, and an identity that is late is
// waited for.
func TestFetchBecomesItsCommand(t *testing.T) {
	t.Parallel()
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	faults.Deny()
	f := startFetch(t, api.Addr(), "--", "sh", "-c", "echo I am $$; exit 7")
	if err := faults.WaitAttempts(t.Context(), devapi.FetchX509SVID, 2); err != nil {
		t.Fatal(err)
	}
	faults.Heal()
	if code, last := f.end(); code != 7 || last != fmt.Sprint("I am ", f.Process.Pid) {
		t.Errorf("exit status %d after %q, want 7 of process %d", code, last, f.Process.Pid)
	}
}

// TestFetchesAtOnce: several to one directory, all succeed.
func TestFetchesAtOnce(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	certs := filepath.Join(memoryDir(t), "certs")
	var all []*fetching
	for range 4 {
		f := newFetch(t, api.Addr())
		f.useDir(certs)
		f.start()
		all = append(all, f)
	}
	for _, f := range all {
		if code, last := f.end(); code != exitOK {
			t.Errorf("exit status %d after %q", code, last)
		}
	}
}

// TestFetchBesideADaemon: a directory that another helper keeps is its own.
func TestFetchBesideADaemon(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	daemon := newFetch(t, api.Addr())
	daemon.Args[1] = "run"
	daemon.start()
	daemon.says.await(t, "published")
	f := newFetch(t, api.Addr(), "--", "echo", "ran")
	f.useDir(daemon.certs)
	f.start()
	if code, last := f.end(); code != exitFailure || !strings.Contains(last, fmt.Sprintf("another helper (pid %d)", daemon.Process.Pid)) {
		t.Errorf("exit status %d after %q", code, last)
	}
}

// TestFetchWithAWrongTimeout: what cannot be meant is refused.
func TestFetchWithAWrongTimeout(t *testing.T) {
	for timeout, want := range map[string]string{
		"-1s": "negative", "-1ns": "negative", "5": "invalid value", "9999999h": "invalid value",
	} {
		var stderr strings.Builder
		code := dispatch([]string{"svidhelper", "fetch", "-dir", t.TempDir(), "-timeout", timeout}, nil, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("-timeout %s: exit status %d, it said %q", timeout, code, stderr.String())
		}
	}
}

// TestFetchWithoutARightToTheSocket: a user who may not connect is told so: on
// what, as whom, and what to check.
func TestFetchWithoutARightToTheSocket(t *testing.T) {
	t.Parallel()
	needRoot(t)
	const nobody = 65534
	program := sharedProgram(t)
	for _, c := range []struct {
		name        string
		dir, socket os.FileMode
		closed      string
	}{
		{"the socket is another's", 0o755, 0o600, "its mode is Srw-------"},
		{"its directory is another's", 0o700, 0o666, " is drwx------"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, SocketMode: c.socket})
			socket := strings.TrimPrefix(api.Addr(), "unix://")
			if err := os.Chmod(filepath.Dir(socket), c.dir); err != nil {
				t.Fatal(err)
			}
			home := filepath.Join(filepath.Dir(program), c.name)
			if err := os.Mkdir(home, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(home, nobody, nobody); err != nil {
				t.Fatal(err)
			}
			var last string
			timeout := time.Second
			for {
				f := newFetch(t, api.Addr())
				f.Path, f.Args = program, []string{program, "fetch", "-dir", "certs", "-timeout", timeout.String()}
				f.Dir = home
				f.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				begin := time.Now()
				f.start()
				var code int
				code, last = f.end()
				if took := time.Since(begin); code != exitFailure || took < timeout || took > timeout+patience {
					t.Errorf("exit status %d after %v", code, took)
				}
				if f.says.count("not connected") > 0 || timeout > patience {
					break
				}
				timeout *= 10 // a busy machine has not come to it
			}
			for _, word := range []string{api.Addr(), "permission denied on " + socket, "uid 65534", "check the rights", "within " + timeout.String(), c.closed} {
				if !strings.Contains(last, word) {
					t.Errorf("%q does not say %q", last, word)
				}
			}
		})
	}
}

// needRoot skips a test that takes root's rights, or fails it where nothing may
// be skipped.
func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Getuid() == 0:
	case os.Getenv("SVIDHELPER_TEST_STRICT") != "":
		t.Fatal("this takes root's rights")
	default:
		t.Skip("this takes root's rights")
	}
}

// need skips a test that takes another program, or fails it where nothing may be
// skipped.
func need(t *testing.T, program string) {
	t.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("SVIDHELPER_TEST_STRICT") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// sharedProgram copies the program to where every user may execute it.
func sharedProgram(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "svidhelper-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := exec.LookPath("svidhelper")
	if err != nil {
		t.Fatal(err)
	}
	// Another process writes it: what this one has written may still be open for
	// writing in a child that another test is starting, and cannot be executed.
	path := filepath.Join(dir, "svidhelper")
	if out, err := exec.Command("install", "-m", "755", self, path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}
