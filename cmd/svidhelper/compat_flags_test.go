//go:build unix

package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// Flags, modes of running, addresses, exit statuses.

// answers shows that the program found the Workload API.
func answers(t *testing.T, s *swapped) {
	s.run(0)
	wantCertificates(t, s.read("svid.pem"), s.api.SVIDs()[0].Certificates...)
}

// addressed has the configuration name the address of the Workload API, and the
// environment another.
func addressed(from, to string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		address := strings.Replace(s.api.Addr(), from, to, 1)
		s.configure(s.read("helper.conf") + "agent_address = \"" + address + "\"\n")
		s.env = append(s.env, "SPIFFE_ENDPOINT_SOCKET=unix:///nowhere/api.sock")
		answers(t, s)
	}
}

var flagFacts = []fact{
	{name: "helper.conf in the working directory is the default of -config", conf: oneShot, test: answers},
	{name: "-config", test: func(t *testing.T, s *swapped) {
		s.configure("nothing of use\n")
		s.write("other.conf", oneShot+x509Names)
		s.run(0, "-config", "other.conf")
		s.run(0, "--config=other.conf")
	}},
	{name: "-config of a file that is not there", test: func(t *testing.T, s *swapped) {
		s.run(1, "-config", "missing.conf")
		s.log.await(t, "missing.conf", "no such file")
	}},
	{name: "an error in the configuration is exit status 1", conf: "foo = 1\n", test: func(t *testing.T, s *swapped) {
		s.run(1)
		s.log.await(t, "helper.conf:1:1", "foo")
	}},
	{name: "camelCase keys are errors that name the new spelling", conf: "certDir = \"x\"\n", test: func(t *testing.T, s *swapped) {
		s.run(1)
		s.log.await(t, "it is spelled cert_dir")
	}},
	{name: "start and reload blocks are errors that say what to write", conf: "start { cmd = \"x\" }\nreload { signal = \"SIGHUP\" }\n", test: func(t *testing.T, s *swapped) {
		s.run(1)
		s.log.await(t, "unknown key \"start\"")
		s.log.await(t, "write cmd = ")
		s.log.await(t, "unknown key \"reload\"")
		s.log.await(t, "write renew_signal = ")
	}},
	{name: "log_level is accepted", conf: oneShot + "log_level = \"error\"\n", test: func(t *testing.T, s *swapped) {
		s.run(0)
		if got := s.log.String(); strings.Contains(got, "level=INFO") {
			t.Errorf("the log is %s", got)
		}
	}},
	{name: "a wrong signal is found at the start", conf: "cmd = \"stays\"\nrenew_signal = \"SIGHUPP\"\n", test: func(t *testing.T, s *swapped) {
		s.run(1)
		s.log.await(t, "SIGHUPP")
	}},
	{name: "a wrong flag is exit status 2", test: func(t *testing.T, s *swapped) {
		s.run(2, "-conf", "helper.conf")
		s.log.await(t, "flag provided but not defined: -conf")
	}},
	{name: "a wrong value of a flag is exit status 2", test: func(t *testing.T, s *swapped) { s.run(2, "-daemon-mode=maybe") }},
	{name: "-version", test: func(t *testing.T, s *swapped) {
		s.configure("nothing of use\n")
		s.run(0, "-version")
		if got := s.stdout.String(); !strings.HasPrefix(got, "svidhelper ") {
			t.Errorf("it says %q", got)
		}
	}},
	{name: "-help", test: func(t *testing.T, s *swapped) {
		s.configure("nothing of use\n")
		s.run(0, "-help")
		for _, flag := range []string{"-config", "-daemon-mode", "-version"} {
			if !strings.Contains(s.stdout.String(), flag) {
				t.Errorf("no %s in the help", flag)
			}
		}
	}},
	{name: "under the name spiffe-helper the first line of the log says which program it is", test: func(t *testing.T, s *swapped) {
		s.start()
		s.log.await(t, "published")
		if first, _, _ := strings.Cut(s.log.String(), "\n"); !strings.Contains(first, `msg="svidhelper devel`) {
			t.Errorf("the first line is %s", first)
		}
	}},
	{name: "in a one-shot too", conf: oneShot, test: func(t *testing.T, s *swapped) {
		s.run(0)
		s.log.await(t, `msg="svidhelper devel`)
	}},
	{name: "daemon_mode = false writes everything once and exits 0, without cmd", conf: oneShot + jwtNames + `
cert_dir = "certs"
cmd = "stays"
renew_signal = "SIGHUP"
`, test: func(t *testing.T, s *swapped) {
		s.run(0)
		s.log.await(t, "warning", "cmd is ignored: daemon_mode is false")
		s.log.await(t, "warning", "renew_signal is ignored: daemon_mode is false")
		if got := s.record.String(); got != "" {
			t.Errorf("cmd was started: %s", got)
		}
		for _, name := range []string{"svid.pem", "key.pem", "bundle.pem", "a.jwt", "jwks.json"} {
			if s.read("certs", name) == "" {
				t.Errorf("%s is empty", name)
			}
		}
	}},
	{name: "-daemon-mode=false is over the file", conf: "daemon_mode = true\n", test: func(t *testing.T, s *swapped) { s.run(0, "-daemon-mode=false") }},
	{name: "-daemon-mode=true is over the file", conf: "daemon_mode = false\n", test: daemon("-daemon-mode=true")},
	{name: "-daemon-mode is true", conf: "daemon_mode = false\n", test: daemon("-daemon-mode")},
	{name: "-daemon-mode false is true, and false is ignored", test: daemon("-daemon-mode", "false")},
	{name: "other arguments are ignored, with what follows", test: daemon("run", "-wrong")},
	{name: "daemon_mode is true unless it is said", test: daemon()},
	{name: "pid_file_name with daemon_mode = false is an error", conf: oneShot + "pid_file_name = \"x.pid\"\nrenew_signal = \"SIGHUP\"\n", test: func(t *testing.T, s *swapped) {
		s.run(1)
		s.log.await(t, "pid_file_name cannot be used with daemon_mode = false")
	}},
	{name: "pid_file_name with -daemon-mode=false is an error", conf: "pid_file_name = \"x.pid\"\nrenew_signal = \"SIGHUP\"\n", test: func(t *testing.T, s *swapped) {
		s.run(1, "-daemon-mode=false")
		s.log.await(t, "pid_file_name cannot be used with daemon_mode = false")
	}},
	{name: "SPIFFE_ENDPOINT_SOCKET is the address", conf: oneShot, test: answers},
	{name: "agent_address is over SPIFFE_ENDPOINT_SOCKET", conf: oneShot, test: addressed("", "")},
	{name: "SPIRE_AGENT_ADDRESS is the address where nothing else says it, with a warning", conf: oneShot, test: func(t *testing.T, s *swapped) {
		s.env = append(s.env, "SPIFFE_ENDPOINT_SOCKET=", "SPIRE_AGENT_ADDRESS="+strings.TrimPrefix(s.api.Addr(), "unix://"))
		answers(t, s)
		s.log.await(t, "SPIRE_AGENT_ADDRESS: warning")
		s.log.await(t, "set SPIFFE_ENDPOINT_SOCKET instead")
	}},
	{name: "SPIFFE_ENDPOINT_SOCKET is over SPIRE_AGENT_ADDRESS", conf: oneShot, test: func(t *testing.T, s *swapped) {
		s.env = append(s.env, "SPIRE_AGENT_ADDRESS=/nowhere/api.sock")
		answers(t, s)
	}},
	{name: "-agent-address is over agent_address", conf: oneShot + "agent_address = \"/nowhere/api.sock\"\n", test: func(t *testing.T, s *swapped) {
		s.env = append(s.env, "SPIFFE_ENDPOINT_SOCKET=/nowhere/either.sock")
		s.run(0, "-agent-address", strings.TrimPrefix(s.api.Addr(), "unix://"))
	}},
	{name: "a bare path as address", conf: oneShot, test: addressed("unix://", "")},
	{name: "unix:/path as address", conf: oneShot, test: addressed("unix:///", "unix:/")},
	{name: "tcp://IP:port as address", conf: oneShot, test: func(t *testing.T, s *swapped) {
		s.api.Down()
		faultlessly(t, s.api.Start("tcp://127.0.0.1:0"))
		addressed("", "")(t, s)
	}},
	{name: "without any address it is /tmp/spire-agent/public/api.sock", conf: "daemon_mode = false\ntimeout = \"10ms\"\n", test: func(t *testing.T, s *swapped) {
		s.env = append(s.env, "SPIFFE_ENDPOINT_SOCKET=")
		s.run(1)
		s.log.await(t, "/tmp/spire-agent/public/api.sock")
	}},
	{name: "a wrong address is an error of the configuration", conf: oneShot + "agent_address = \"http://x\"\n", test: func(t *testing.T, s *swapped) {
		s.run(1)
		s.log.await(t, "agent_address")
	}},
	{name: "a one-shot says at once that nothing has the hint", conf: oneShot + "hint = \"nobody\"\n", test: func(t *testing.T, s *swapped) {
		s.run(1)
		s.log.await(t, "nothing was written", "no X.509-SVID with hint")
	}},
	{name: "a one-shot waits for the Workload API", conf: oneShot, test: func(t *testing.T, s *swapped) {
		s.faults.Deny()
		s.start()
		faultlessly(t, s.faults.WaitAttempts(t.Context(), devapi.FetchX509SVID, 2))
		s.faults.Heal()
		if got := s.status(); got != 0 {
			t.Errorf("exit status %d", got)
		}
	}},
}

// daemon shows that the program stays with these flags.
func daemon(flags ...string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.start(flags...)
		s.log.await(t, "published")
		s.api.Rotate()
		s.log.await(t, "published")
		s.stop(syscall.SIGTERM, 0)
	}
}

func TestCompatFlags(t *testing.T) { testFacts(t, flagFacts) }
