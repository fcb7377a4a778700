//go:build linux

package proof

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
)

// nobody runs servers where the tests run as root: PostgreSQL insists.
const nobody = 65534

// A server is a real one in a directory of its own.
type server struct {
	t    *testing.T
	dir  string
	cred *syscall.Credential
	argv []string
	cmd  *exec.Cmd
	log  *os.File
}

func newServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, dir: dir}
	if s.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		s.cred = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := errors.Join(os.Chown(dir, nobody, nobody), s.log.Chown(nobody, nobody)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.logged())
		}
		s.log.Close()
	})
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) logged() string {
	b, _ := os.ReadFile(s.log.Name())
	return string(b)
}

func (s *server) command(argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	return cmd
}

// start starts the server. It ends with the tests, whatever ends them: with the thread
// that has started it, that is, which stays until the test ends.
func (s *server) start(argv ...string) {
	s.t.Helper()
	s.argv = argv
	s.cmd = s.command(argv...)
	s.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, ended := make(chan error), make(chan struct{})
	s.t.Cleanup(func() { close(ended) })
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- s.cmd.Start()
		<-ended
	}()
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
}

// kill ends the server with its whole group.
func (s *server) kill() {
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	s.cmd.Wait()
}

// write writes a file that belongs to the server.
func (s *server) write(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name)+".new", content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if s.cred != nil {
		if err := os.Chown(s.path(name)+".new", nobody, nobody); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.Rename(s.path(name)+".new", s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// publish writes a certificate and its key. The server is not reading them.
func (s *server) publish(cert *tls.Certificate) Want {
	s.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	s.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	want := wanted(cert)
	want.Published = time.Now()
	return want
}

// join puts a file behind another one.
func (s *server) join(first, second string) {
	s.t.Helper()
	a, err := os.ReadFile(s.path(first))
	b, more := os.ReadFile(s.path(second))
	if err = errors.Join(err, more); err != nil {
		s.t.Fatal(err)
	}
	s.write(first, append(a, b...))
}

// find returns the path of a program of a distribution's package.
func find(t *testing.T, name string, places ...string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range places {
		if paths, _ := filepath.Glob(pattern); len(paths) > 0 {
			return paths[len(paths)-1]
		}
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// freePort returns a port that is the test's: nobody listens there, and nobody
// else gets it.
func freePort(t *testing.T) string {
	t.Helper()
	port, release, err := testbed.Port()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return strconv.Itoa(port)
}
