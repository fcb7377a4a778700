//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// What users of spiffe-helper rely on, shown with the real program under that
// name. What shows when a file is read is tested where files are read; here is
// what shows when it runs.

// x509Names are the three names of an X.509-SVID's files.
const x509Names = `
svid_file_name = "svid.pem"
svid_key_file_name = "key.pem"
svid_bundle_file_name = "bundle.pem"
`

// A fact is something that spiffe-helper does.
type fact struct {
	name string
	api  devapi.Config
	// conf is the configuration, in a working directory that holds nothing
	// else; x509Names are added unless it is about files.
	conf string
	bare bool
	test func(t *testing.T, s *swapped)
}

func testFacts(t *testing.T, facts []fact) {
	for _, f := range facts {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newSwapped(t, f.api)
			if !f.bare {
				f.conf += x509Names
			}
			s.configure(f.conf)
			f.test(t, s)
		})
	}
}

// A swapped is the program in the place of spiffe-helper: under that name, in a
// directory of its own, with a Workload API of its own.
type swapped struct {
	t      *testing.T
	name   string // of the program
	api    *devapi.Server
	faults *devapi.Faults
	dir    string   // the working directory
	env    []string // that of the program, and of what it runs
	umask  string
	stdin  string

	cmd    *exec.Cmd
	log    *lines // its stderr
	stdout bytes.Buffer
	record *lines // what the stand-ins said
	ended  chan struct{}
}

func newSwapped(t *testing.T, c devapi.Config) *swapped {
	t.Helper()
	c.ManualRotation = true
	s := &swapped{t: t, name: "spiffe-helper", dir: shortDir(t), log: newLines(), record: newLines()}
	s.api, s.faults = devapitest.Start(t, c)
	record := filepath.Join(s.dir, "record")
	s.env = []string{"SPIFFE_ENDPOINT_SOCKET=" + s.api.Addr(), "GORACE=atexit_sleep_ms=0",
		"RECORD=" + record, "PATH=" + s.path("bin") + ":" + os.Getenv("PATH")}
	for _, fifo := range []string{record, record + ".idle"} {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.listen(record)
	s.nudge(record + ".idle")
	for _, name := range []string{"stays", "exits"} {
		s.standIn(name, name)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s\nrecord:\n%s", s.log, s.record)
		}
	})
	return s
}

// listen reads the record until the test ends. It is open for writing too, so
// that it never comes to its end.
func (s *swapped) listen(record string) {
	s.t.Helper()
	f, err := os.OpenFile(record, os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			_, _ = s.record.Write(buf[:n])
		}
	})
	s.t.Cleanup(func() { f.Close(); reading.Wait() })
}

// nudge has the stand-ins read a line now and then until the test ends. A shell
// looks for signals, and then reads: one that comes between the two it would see
// only when there is something to read.
func (s *swapped) nudge(idle string) {
	s.t.Helper()
	f, err := os.OpenFile(idle, os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	var nudging sync.WaitGroup
	nudging.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = f.WriteString("\n")
			}
		}
	})
	s.t.Cleanup(func() { close(ended); f.Close(); nudging.Wait() })
}

// standIn puts a program of that name on the PATH that behaves as one of
// testdata/compat. A link: a script that was just written may still be open for
// writing in a child that another test is starting.
func (s *swapped) standIn(name, as string) string {
	s.t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata/compat", as))
	if err != nil {
		s.t.Fatal(err)
	}
	path := s.path("bin", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Symlink(script, path); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *swapped) path(names ...string) string {
	return filepath.Join(append([]string{s.dir}, names...)...)
}

func (s *swapped) configure(conf string) {
	s.t.Helper()
	s.write("helper.conf", conf)
}

func (s *swapped) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// command is a command in the program's directory and environment.
func (s *swapped) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir, c.Env = s.dir, append(os.Environ(), s.env...)
	return c
}

// start starts the program, without -config: it finds helper.conf.
func (s *swapped) start(flags ...string) {
	s.t.Helper()
	s.cmd = s.command(s.name, flags...)
	if s.umask != "" {
		s.cmd = s.command("sh", append([]string{"-c", `umask $0; exec "$@"`, s.umask, s.name}, flags...)...)
	}
	s.cmd.Stdin = strings.NewReader(s.stdin)
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func(c *exec.Cmd) { _ = c.Wait(); close(ended) }(s.cmd)
	s.t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		s.status()
	})
}

// status waits for the end of the program and returns its exit status.
func (s *swapped) status() int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		s.t.Fatal("it does not end")
	}
	return s.cmd.ProcessState.ExitCode()
}

// run starts the program and waits for its end.
func (s *swapped) run(want int, flags ...string) {
	s.t.Helper()
	s.start(flags...)
	if got := s.status(); got != want {
		s.t.Fatalf("%s %q: exit status %d, want %d", s.name, flags, got, want)
	}
}

// stop ends the program with a signal, and checks its exit status.
func (s *swapped) stop(sig syscall.Signal, want int) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	if got := s.status(); got != want {
		s.t.Errorf("exit status %d after %v, want %d", got, sig, want)
	}
}

// background starts a stand-in that the program does not know, and returns its
// pid.
func (s *swapped) background(name string) int {
	s.t.Helper()
	c := s.command(s.path("bin", name))
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	s.record.await(s.t, name, "started")
	return c.Process.Pid
}

// read returns a file's content.
func (s *swapped) read(names ...string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.path(names...))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// eventually waits until check returns nil. It is for what offers no event.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// missing returns an error unless nothing is at the path.
func missing(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is there: %v", path, err)
	}
	return nil
}
