//go:build linux

package examples_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// rotations is how many a server has to stand.
const rotations = 30

// A service is a real server under svidhelper, and what its clients need.
type service struct {
	t       *testing.T
	api     *devapi.Server
	dir     string // everything of the server's; its user can reach it
	tls     string // the output's directory
	address string // where it serves TLS
	health  string // where svidhelper serves its health
	events  *events
	helper  *running
	as      *syscall.Credential // whom svidhelper runs as; nil: whom we do
	env     []string            // what its environment has besides
	// listener, unless nil, is svidhelper's descriptor 3, as from systemd.
	listener *os.File
	// restarts says that a rotation restarts the server.
	restarts bool
}

// newService prepares what the server of an example needs. Its data, if it has
// any, belongs in a directory that owned makes.
func newService(t *testing.T, name string) *service {
	t.Helper()
	// t.TempDir is closed to other users, and too long for sockets.
	dir, err := os.MkdirTemp("", name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return &service{
		t:       t,
		api:     startAPI(t, devapi.Config{Identities: []devapi.Identity{identity(name, "localhost")}}),
		dir:     dir,
		tls:     filepath.Join(dir, "tls"),
		address: freeAddress(t),
		health:  freeAddress(t),
		events:  newEvents(t, filepath.Join(dir, "events")),
	}
}

// adapt copies a file of the example beside the server's other files.
func (s *service) adapt(example string, oldnew ...string) string {
	s.t.Helper()
	return adapt(s.t, example, s.dir, oldnew...)
}

// owned makes a directory that belongs to a user of the distribution's; where
// the test does not run as root, it belongs to us, as everything does.
func (s *service) owned(name, owner string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if c := credential(s.t, owner); c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			s.t.Fatal(err)
		}
	}
	return dir
}

// credential is that of a user of the distribution's, or nil where the test
// does not run as root and cannot become anybody.
func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(atoi(t, u.Uid)), Gid: uint32(atoi(t, u.Gid))}
}

// whose is a line of a configuration that says who owns or runs what.
var whose = regexp.MustCompile(`(?m)^ +(user|owner|group) += .*\n`)

// conf copies a configuration of svidhelper's beside the server's other files, as
// adapt does, with what its presets stand for written out. Without root, everything
// is one user's.
func (s *service) conf(example string, oldnew ...string) string {
	s.t.Helper()
	c, _, diagnostics := config.Check(example)
	if c == nil {
		s.t.Fatal(diagnostics)
	}
	text := config.Print(c)
	if os.Getuid() != 0 {
		text = whose.ReplaceAll(text, nil)
	}
	return adapt(s.t, adaptText(s.t, string(text), s.dir, filepath.Base(example)), s.dir, oldnew...)
}

// forRoot are lines of a server's configuration that say who runs it: without root,
// it is one user's, and they go.
func forRoot(lines ...string) (oldnew []string) {
	if os.Getuid() == 0 {
		return nil
	}
	for _, line := range lines {
		oldnew = append(oldnew, line, "")
	}
	return oldnew
}

// start runs the example's configuration, and waits until the server serves the
// first certificate.
func (s *service) start(example string, oldnew ...string) {
	s.t.Helper()
	s.launch(s.conf(example, oldnew...))
	first := s.api.SVIDs()[0].Certificates[0].SerialNumber
	s.events.await(s.t, s.helper, "proof of the first certificate", proven(first))
}

// launch runs a configuration, with an event stream and health added.
func (s *service) launch(conf string) {
	s.t.Helper()
	f, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(f, "\nevents = %q\n\nhealth {\n  address = %q\n}\n", s.events.path, s.health)
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(svidhelper, "run", "-config", conf)
	cmd.Dir = s.dir
	cmd.Env = append(cmd.Environ(), "SPIFFE_ENDPOINT_SOCKET="+s.api.Addr())
	cmd.Env = append(cmd.Env, s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if s.listener != nil {
		cmd.ExtraFiles = []*os.File{s.listener}
		cmd.Env = append(cmd.Env, "LISTEN_FDS=1")
	}
	s.helper = start(s.t, cmd)
}

// rotate rotates while the clients make new connections without pause, each
// rotation as soon as the one before is proven. No connection may fail, the one
// that was opened before must still work afterwards (unless open is nil: a restart
// ends it), and the server must not have ended by itself.
func (s *service) rotate(times int, open hold, clients ...*client) {
	s.t.Helper()
	ctx, stop := context.WithCancel(deadline(s.t, 5*time.Minute))
	defer stop()
	use := func() error { return nil }
	if open != nil {
		var err error
		if use, err = open(ctx); err != nil {
			s.t.Fatalf("before the first rotation: %v", err)
		}
	}

	done := make(chan struct{}, len(clients))
	for _, c := range clients {
		go func() { c.run(ctx, 1); done <- struct{}{} }()
	}
	var latencies []time.Duration
	for range times {
		serial := rotate(s.t, s.api)
		e := s.events.await(s.t, s.helper, "proof of "+snapshot.Serial(serial), proven(serial))
		latencies = append(latencies, time.Duration(e.Latency*float64(time.Second)))
		for _, c := range clients {
			if !c.blind {
				c.await(s.t, serial)
			}
		}
	}
	for _, c := range clients {
		c.more(s.t, 2) // of which the second began after the last rotation
	}
	stop()
	for range clients {
		<-done
	}
	s.report(latencies, clients)

	if err := use(); err != nil {
		s.t.Errorf("a connection that was there before the first rotation: %v", err)
	}
	s.healthy()
}

func (s *service) report(latencies []time.Duration, clients []*client) {
	slices.Sort(latencies)
	nearest := func(percent int) time.Duration {
		return latencies[(len(latencies)*percent+99)/100-1].Round(time.Millisecond / 10)
	}
	s.t.Logf("%d rotations, each proven: published to proven p50 %v, p99 %v", len(latencies), nearest(50), nearest(99))
	for _, c := range clients {
		s.t.Logf("%s: %d new connections, %d dropped, %d failed", c.name, c.dials, c.dropped, len(c.failures))
		if c.dropped > 0 {
			s.t.Logf("%s: without an answer for %v at most", c.name, c.outage.Round(time.Millisecond))
		}
		if len(c.failures) > 0 {
			s.t.Errorf("%s: %v", c.name, c.failures[0])
		}
		if c.good.IsZero() {
			s.t.Errorf("%s: not one connection was made, and the last failed: %v", c.name, c.drop)
		}
	}
}

// healthy asserts that svidhelper is ready, that the server is still the process
// that it was, and that no proof has failed.
func (s *service) healthy() {
	s.t.Helper()
	if status, body := s.get("/ready"); status != http.StatusOK {
		s.t.Errorf("/ready: %d %s", status, body)
	}
	_, metrics := s.get("/metrics")
	zero := []string{"svidhelper_proof_failures_total"}
	if !s.restarts {
		zero = append(zero, "svidhelper_process_restarts_total")
	}
	for _, want := range zero {
		found := false
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, want) {
				found = true
				if !strings.HasSuffix(line, " 0\n") {
					s.t.Error(line)
				}
			}
		}
		if !found {
			s.t.Errorf("no metric %s", want)
		}
	}
}

// get asks svidhelper's health.
func (s *service) get(path string) (status int, body string) {
	s.t.Helper()
	answer, err := http.Get("http://" + s.health + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// trustsNewAuthority replaces the trust domain's authority, as happens every few
// hours to months, and waits until the server lets in a client that has an SVID
// from the new one. Not every reload takes up authorities, and no proof sees
// them. The new certificate may be there before: from an old worker, or from a
// server that is told of the two in different ways.
func (s *service) trustsNewAuthority(open opening, t talk) {
	s.t.Helper()
	if err := s.api.AddAuthority(devapi.DefaultID.TrustDomain()); err != nil {
		s.t.Fatal(err)
	}
	serial := rotate(s.t, s.api)
	s.events.await(s.t, s.helper, "proof of the new authority's "+snapshot.Serial(serial), proven(serial))
	awaitListener(s.t, talkDial(s.address, s.clientTLS(), open, t), s.helper)
}

// undisturbed reports whether the first certificate was proven without further
// ado, as it is unless the machine has held up the server for as long as a proof
// waits.
func (s *service) undisturbed() error {
	if s.events.has(failedProof) || strings.Contains(s.helper.out.String(), "escalation=") {
		return errors.New("the start took too long")
	}
	return nil
}

// stop ends svidhelper, and so the server.
func (s *service) stop(want int) {
	s.t.Helper()
	s.helper.stop(syscall.SIGTERM)
	s.ended(want)
}

// ended asserts how svidhelper has ended.
func (s *service) ended(want int) {
	s.t.Helper()
	if status := s.helper.cmd.ProcessState.ExitCode(); status != want {
		s.t.Errorf("exit status %d, the server's is %d", status, want)
	}
	if strings.Contains(s.helper.out.String(), "PRIVATE KEY") {
		s.t.Error("a key in the log")
	}
	s.nothingLeft()
}

// nothingLeft asserts that no process of the server's outlives svidhelper: none that
// works in the test's directory, or names it among its arguments.
func (s *service) nothingLeft() {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var left []string
		for _, proc := range glob(s.t, "/proc/[0-9]*") {
			args, _ := os.ReadFile(proc + "/cmdline") // it may end meanwhile
			cwd, _ := os.Readlink(proc + "/cwd")
			if strings.HasPrefix(cwd, s.dir) || strings.Contains(string(args), s.dir) {
				left = append(left, strings.ReplaceAll(string(args), "\x00", " "))
			}
		}
		switch {
		case len(left) == 0:
			return
		case time.Now().After(deadline):
			s.t.Errorf("left behind: %q", left)
			return
		}
	}
}

// proven matches the event that a serial number was seen to be served.
func proven(serial *big.Int) func(event) bool {
	return func(e event) bool { return e.Event == "proven" && e.Serial == snapshot.Serial(serial) }
}
