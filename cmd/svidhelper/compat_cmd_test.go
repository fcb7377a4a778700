//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// When cmd and the process in pid_file_name hear of a rotation.

const staying = `
cert_dir = "certs"
cmd = "stays"
renew_signal = "SIGHUP"
`

var cmdFacts = []fact{
	{name: "cmd starts after the first X.509 write", conf: `
cert_dir = "certs"
cmd = "sh"
cmd_args = "-c \"ls certs | tr '\\n' ' ' >>$RECORD; echo >>$RECORD\""
`, test: func(t *testing.T, s *swapped) {
		s.faults.Deny(devapi.FetchX509SVID)
		s.start()
		if err := s.faults.WaitAttempts(t.Context(), devapi.FetchX509SVID, 2); err != nil {
			t.Fatal(err)
		}
		if got := s.record.String(); got != "" {
			t.Errorf("cmd was started before there was an SVID: %s", got)
		}
		s.faults.Heal()
		if got := s.record.await(t, "svid.pem"); got != "bundle.pem key.pem svid.pem " {
			t.Errorf("cmd found %q", got)
		}
	}},
	{name: "cmd starts without a JWT-SVID that is refused", conf: staying + `
jwt_svids = [{jwt_audience = "a", jwt_svid_file_name = "a.jwt"}]
jwt_bundle_file_name = "jwks.json"
`, test: func(t *testing.T, s *swapped) {
		s.faults.Deny(devapi.FetchJWTSVID)
		s.start()
		s.record.await(t, "stays started")
		if err := missing(s.path("certs", "a.jwt")); err != nil {
			t.Error(err)
		}
	}},
	{name: "cmd that runs is signalled at each later X.509 update", conf: staying, test: func(t *testing.T, s *swapped) {
		s.start()
		s.record.await(t, "stays started")
		for range 3 {
			s.api.Rotate()
			s.record.await(t, "stays SIGHUP")
		}
		if n := s.record.count("started"); n != 1 {
			t.Errorf("%d starts", n)
		}
	}},
	{name: "renew_signal is what is sent", conf: strings.ReplaceAll(staying, "SIGHUP", "SIGUSR1"), test: func(t *testing.T, s *swapped) {
		s.start()
		s.record.await(t, "stays started")
		s.api.Rotate()
		s.record.await(t, "stays SIGUSR1")
	}},
	{name: "cmd that has exited is started again at the next X.509 update, and not in between", conf: `
cmd = "exits"
cmd_args = "-c \"SELECT pg_reload_conf()\""
renew_signal = "SIGHUP"
`, test: func(t *testing.T, s *swapped) {
		s.env = append(s.env, "STATUS=5")
		s.start()
		for n := 1; n <= 3; n++ {
			if got := s.record.await(t, "exits started"); !strings.HasSuffix(got, " [-c] [SELECT pg_reload_conf()]") {
				t.Errorf("cmd was %q", got)
			}
			s.log.await(t, "process ended", "status=5")
			s.api.Down() // the helper goes on, and hears nothing new
			s.log.await(t, "not connected")
			if err := s.api.Up(); err != nil {
				t.Fatal(err)
			}
			if err := s.faults.WaitSent(t.Context(), devapi.FetchX509SVID, 2*n); err != nil {
				t.Fatal(err)
			}
			if got := s.record.count("exits started"); got != n {
				t.Errorf("%d starts with %d updates", got, n)
			}
			s.api.Rotate()
		}
		s.record.await(t, "exits started")
		s.stop(syscall.SIGTERM, 0)
	}},
	{name: "cmd that is not there is in the log, the files are written, and the next X.509 update starts it if it is there by then", conf: `
cmd = "later"
`, test: func(t *testing.T, s *swapped) {
		s.start()
		s.log.await(t, "published")
		s.log.await(t, "process not started", "later", "not found")
		wantCertificates(t, s.read("svid.pem"), s.api.SVIDs()[0].Certificates...)
		s.standIn("later", "exits")
		s.api.Rotate()
		s.record.await(t, "later started")
		s.stop(syscall.SIGTERM, 0)
	}},
	{name: "cmd without a handler for renew_signal is not sent it, and the log and ready say so", conf: `
cmd = "sleep"
cmd_args = "1000"
renew_signal = "SIGHUP"
`, test: func(t *testing.T, s *swapped) {
		p := s.probed("")
		s.start()
		s.log.await(t, "process started")
		p.await(t, "/ready", 200)
		s.api.Rotate()
		s.log.await(t, "level=ERROR", "SIGHUP")
		p.await(t, "/ready", 503)
		if n := s.log.count("process ended"); n != 0 {
			t.Errorf("cmd ended %d times", n)
		}
	}},
	{name: "an empty renew_signal means no signal, and cmd is still started again when it has exited", conf: `
cmd = "stays"
renew_signal = ""
`, test: func(t *testing.T, s *swapped) {
		s.start()
		pid := startedPID(t, s.record.await(t, "stays started"))
		s.log.await(t, "published")
		s.api.Rotate()
		s.log.await(t, "published")
		if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		s.record.await(t, "SIGUSR1") // of ours, and none of the helper's before it
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s.log.await(t, "process ended", "status=3")
		s.api.Rotate()
		s.record.await(t, "stays started")
		if n := s.record.count("SIGHUP"); n != 0 {
			t.Errorf("%d signals", n)
		}
	}},
	{name: "the process in pid_file_name is signalled at each X.509 update, the file is read anew each time", conf: `
pid_file_name = "the.pid"
renew_signal = "SIGHUP"
`, test: func(t *testing.T, s *swapped) {
		s.standIn("first", "stays")
		s.standIn("second", "stays")
		s.writePID("the.pid", s.background("first"))
		s.start()
		s.record.await(t, "first SIGHUP")
		s.api.Rotate()
		s.record.await(t, "first SIGHUP")
		s.writePID("the.pid", s.background("second"))
		s.api.Rotate()
		s.record.await(t, "second SIGHUP")
		s.stop(syscall.SIGTERM, 0)
		if n := s.record.count("first SIGHUP"); n != 2 {
			t.Errorf("the first process was signalled %d times", n)
		}
	}},
	{name: "cmd first, then the process in pid_file_name", conf: staying + "pid_file_name = \"the.pid\"\nevents = \"events\"\n", test: func(t *testing.T, s *swapped) {
		s.standIn("other", "stays")
		s.writePID("the.pid", s.background("other"))
		s.start()
		want := []string{"process", "pid_file_name"}
		s.tells(want)
		s.record.await(t, "stays started")
		for range 3 {
			s.api.Rotate()
			want = append(want, "process", "pid_file_name")
			s.tells(want)
			s.record.await(t, "stays SIGHUP") // two that wait to be handled are one
		}
		s.stop(syscall.SIGTERM, 0)
		if n := s.record.count("stays SIGHUP"); n != 3 {
			t.Errorf("cmd was signalled %d times", n)
		}
	}},
	{name: "a pid file that is missing is in the log, and cmd runs", conf: staying + `pid_file_name = "the.pid"`, test: func(t *testing.T, s *swapped) {
		s.start()
		s.record.await(t, "stays started")
		s.log.await(t, "hook failed", "the.pid")
		s.api.Rotate()
		s.record.await(t, "stays SIGHUP")
	}},
	{name: "JWT updates start and signal nothing beside X.509", conf: staying + `jwt_bundle_file_name = "jwks.json"`, test: func(t *testing.T, s *swapped) {
		s.start()
		s.record.await(t, "stays started")
		s.api.Rotate()
		s.record.await(t, "SIGHUP")
		devapi.Mutate(s.faults, func(r *workload.JWTBundlesResponse) {
			r.Bundles["spiffe://new.example"] = r.Bundles["spiffe://example.org"]
		})
		s.api.Push()
		eventually(t, func() error {
			if !strings.Contains(s.read("certs", "jwks.json"), "new.example") {
				return errors.New("the JWT bundle is still the old one")
			}
			return nil
		})
		s.api.Rotate()
		s.record.await(t, "SIGHUP")
		s.stop(syscall.SIGTERM, 0)
		if n := s.record.count("SIGHUP"); n != 2 {
			t.Errorf("%d signals for 2 X.509 updates", n)
		}
	}},
	{name: "with JWT outputs only, JWT updates start and signal cmd", bare: true, conf: staying + `jwt_bundle_file_name = "jwks.json"`, test: func(t *testing.T, s *swapped) {
		s.start()
		s.record.await(t, "stays started")
		faultlessly(t, s.api.AddAuthority(devapi.DefaultID.TrustDomain()))
		s.record.await(t, "stays SIGHUP")
	}},
	{name: "stdin, stdout and stderr of cmd are the helper's", conf: `
cmd = "sh"
cmd_args = "-c \"cat; echo com''plaint >&2\""
`, test: func(t *testing.T, s *swapped) {
		s.stdin = "words"
		s.start()
		s.log.await(t, "complaint")
		s.stop(syscall.SIGTERM, 0)
		if got := s.stdout.String(); got != "words" {
			t.Errorf("stdout is %q", got)
		}
	}},
	{name: "on SIGTERM it exits 0, and cmd is stopped first", conf: staying, test: stops(syscall.SIGTERM)},
	{name: "on SIGINT it exits 0, and cmd is stopped first", conf: staying, test: stops(syscall.SIGINT)},
	{name: "on SIGTERM it exits 0 when cmd dies of the signal", conf: `
cmd = "sh"
cmd_args = "-c \"echo started >>$RECORD; exec sleep 100\""
`, test: func(t *testing.T, s *swapped) {
		s.start()
		s.record.await(t, "started")
		s.log.await(t, "process started")
		s.stop(syscall.SIGTERM, 0)
	}},
	{name: "on SIGTERM it exits 0 before there is an SVID", conf: staying, test: func(t *testing.T, s *swapped) {
		s.faults.Deny()
		s.start()
		if err := s.faults.WaitAttempts(t.Context(), devapi.FetchX509SVID, 1); err != nil {
			t.Fatal(err)
		}
		s.stop(syscall.SIGTERM, 0)
	}},
	{name: "on SIGTERM it exits 0 without cmd", test: func(t *testing.T, s *swapped) {
		s.start()
		s.log.await(t, "published")
		s.stop(syscall.SIGTERM, 0)
	}},
}

func stops(sig syscall.Signal) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.start()
		pid := startedPID(t, s.record.await(t, "stays started"))
		s.log.await(t, "process started")
		s.stop(sig, 0)
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("cmd is still there: %v", err)
		}
	}
}

// tells waits until as many targets have been told as are wanted, in that order.
func (s *swapped) tells(want []string) {
	s.t.Helper()
	eventually(s.t, func() error {
		var told []string
		b, err := os.ReadFile(s.path("events"))
		for line := range strings.Lines(string(b)) {
			var e struct{ Event, Target string }
			if json.Unmarshal([]byte(line), &e) == nil && e.Event == "notified" {
				told = append(told, e.Target)
			}
		}
		if len(told) >= len(want) && !slices.Equal(told, want) {
			s.t.Fatalf("told were %q, want %q", told, want)
		}
		if len(told) < len(want) {
			return fmt.Errorf("told were %q, want %q: %v", told, want, err)
		}
		return nil
	})
}

func startedPID(t *testing.T, line string) (pid int) {
	t.Helper()
	var name string
	if _, err := fmt.Sscanf(line, "%s started %d", &name, &pid); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return pid
}

func faultlessly(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writePID writes a pid file as servers do: whole.
func (s *swapped) writePID(name string, pid int) {
	s.t.Helper()
	part := filepath.Join(s.dir, name+".part")
	faultlessly(s.t, os.WriteFile(part, fmt.Appendln(nil, pid), 0o644))
	faultlessly(s.t, os.Rename(part, s.path(name)))
}

func TestCompatCmd(t *testing.T) { testFacts(t, cmdFacts) }
