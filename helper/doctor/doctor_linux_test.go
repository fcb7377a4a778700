package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// A world is a set-up that is as it should be, until a test breaks it.
type world struct {
	t       *testing.T
	api     devapi.Config
	faults  *devapi.Faults
	timeout time.Duration
	base    string // a directory in memory
	// What the configuration says.
	address                                string // empty: that of a development Workload API
	dir, output, process, proof, hook, key string
	health                                 string
	more                                   string // of the proof
}

func newWorld(t *testing.T) *world {
	t.Helper()
	base, err := os.MkdirTemp("/dev/shm", "doctor-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	return &world{
		t: t, faults: new(devapi.Faults), timeout: testbed.Patience, base: base,
		dir: filepath.Join(base, "tls"), process: `command = ["sleep", "1000"]`,
		proof: "127.0.0.1:" + freePort(t), hook: `command = ["true"]`, health: "127.0.0.1:" + freePort(t),
	}
}

// freePort returns a port on which nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	port, release, err := testbed.Port()
	must(t, err)
	t.Cleanup(release)
	return fmt.Sprint(port)
}

// config is the configuration, as a user would write it.
func (w *world) config() string {
	return fmt.Sprintf(`
agent_address = %q
output %q {
  x509_svid {%s}
  jwt_svid {
    audience = ["vault"]
    file     = "vault.jwt"
  }
  %s
}
process {
  %s
  on_rotation = "SIGHUP"
  proof {
    tls = %q
    %s
  }
}
hook "other" { %s }
health { address = %q }
`, w.address, w.dir, w.key, w.output, w.process, w.proof, w.more, w.hook, w.health)
}

// examine starts the Workload API, unless the address is another one, and returns
// what is found.
func (w *world) examine() *Report {
	w.t.Helper()
	if w.address == "" {
		w.api.Faults = w.faults
		api, _ := devapitest.Start(w.t, w.api)
		w.address = api.Addr()
	}
	return w.look()
}

func (w *world) look() *Report {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "helper.conf")
	must(w.t, os.WriteFile(file, []byte(w.config()), 0o644))
	c, _, diagnostics := config.Check(file)
	if c == nil {
		w.t.Fatal(diagnostics)
	}
	var r Report
	r.Examine(context.WithoutCancel(w.t.Context()), c, w.timeout)
	return &r
}

// TestAGoodSetUp: nothing is found, and nothing is touched.
func TestAGoodSetUp(t *testing.T) {
	w := newWorld(t)
	r := w.examine()
	for _, f := range r.Findings {
		if f.Level != OK {
			t.Errorf("%+v", f)
		}
	}
	for _, check := range []string{checkWorkloadAPI, checkIdentity, checkClock, checkOutput, checkProcess, checkHook, checkHealth, checkProof, checkInotify} {
		if r.find(OK, check, "") == nil {
			t.Errorf("nothing is said of %s", check)
		}
	}
	if entries, err := os.ReadDir(w.base); err != nil || len(entries) > 0 {
		t.Errorf("something was made: %v, %v", entries, err)
	}
	var text, data bytes.Buffer
	must(t, r.WriteText(&text))
	t.Logf("it says:\n%s", &text)
	if lines := strings.Count(text.String(), "\n"); lines != len(r.Findings)+1 || !strings.HasSuffix(text.String(), "\n0 problems, 0 warnings\n") {
		t.Errorf("%d lines for %d findings:\n%s", lines, len(r.Findings), &text)
	}
	must(t, r.WriteJSON(&data))
	var again Report
	must(t, json.Unmarshal(data.Bytes(), &again))
	if len(again.Findings) != len(r.Findings) || again.Findings[0] != r.Findings[0] {
		t.Errorf("%s", &data)
	}
}

// TestBrokenSetUps: each is found, with what to do, and nothing else is.
func TestBrokenSetUps(t *testing.T) {
	for _, c := range []struct {
		name  string
		root  bool // only root can make it so
		spoil func(*world)
		level Level
		check string
		words string
	}{
		{"no socket", false, func(w *world) {
			w.address = "unix:///nowhere/api.sock"
		}, Problem, checkWorkloadAPI, "no socket at /nowhere/api.sock, not even /nowhere exists: start the agent"},
		{"a socket that was left behind", false, func(w *world) {
			w.address = w.listen(func(l *net.UnixListener) { l.SetUnlinkOnClose(false); l.Close() })
		}, Problem, checkWorkloadAPI, "nothing listens there"},
		{"a directory in the socket's place", false, func(w *world) {
			w.address = "unix://" + w.base
		}, Problem, checkWorkloadAPI, "is a directory, not a socket"},
		{"a socket that says nothing", false, func(w *world) {
			w.address, w.timeout = w.listen(func(*net.UnixListener) {}), time.Second
		}, Problem, checkWorkloadAPI, "what listens there hangs, or does not speak gRPC"},
		{"a socket that hangs up", false, func(w *world) {
			w.address = w.listen(func(l *net.UnixListener) { go hangUp(l) })
		}, Problem, checkWorkloadAPI, "it does not speak gRPC, or is going down"},
		{"no identity", false, func(w *world) {
			w.faults.Deny()
		}, Problem, "x509_svid", "no identity issued for uid"},
		{"no answer", false, func(w *world) {
			w.faults.Hang(devapi.FetchX509SVID)
			w.timeout = time.Second
		}, Problem, "x509_svid", "has not answered"},
		{"no token for the audience", false, func(w *world) {
			w.faults.Deny(devapi.FetchJWTSVID)
		}, Problem, "jwt_svid", "for vault: no identity issued"},
		{"a profile that the agent does not know", false, func(w *world) {
			w.output = `wit_svid {
    token = "wit"
    key   = "wit.key"
  }`
			w.faults.Fail(codes.Unimplemented, devapi.FetchWITSVID)
		}, Problem, "wit_svid", "remove what needs it, or use another agent"},
		{"a clock that is behind", false, func(w *world) {
			w.api.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		}, Problem, "x509_svid", "compare the clocks; the clock here says"},
		{"a clock that is ahead", false, func(w *world) {
			w.api.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
		}, Problem, "x509_svid", "the clock here says"},
		{"an agent that does not renew", false, func(w *world) {
			w.api.TTL, w.api.ManualRotation = time.Hour, true
			w.api.Now = func() time.Time { return time.Now().Add(-50 * time.Minute) }
			w.api.JWTTTL = 2 * time.Hour
		}, Warning, checkIdentity, "an agent renews at half of it"},
		{"a private key that is none", false, func(w *world) {
			devapi.Mutate(w.faults, func(r *workload.X509SVIDResponse) { r.Svids[0].X509SvidKey = []byte("\x1b[2J") })
		}, Problem, "x509_svid", "its private key is not PKCS#8"},
		{"a hint that no identity has", false, func(w *world) {
			w.key = `hint = "internal"`
		}, Problem, checkOutput, `no X.509-SVID with hint "internal": the Workload API gave spiffe://example.org/workload without hint; correct hint or spiffe_id`},
		{"an identity that is not allowed", false, func(w *world) {
			w.key = `allow = ["spiffe://example.org/web"]`
		}, Problem, checkOutput, "spiffe://example.org/workload"},
		{"several identities, and none selected", false, func(w *world) {
			w.api.Identities = []devapi.Identity{{ID: devapi.DefaultID}, {ID: spiffeid.RequireFromString("spiffe://example.org/b")}}
		}, Warning, checkOutput, "the first of 2 identities"},
		{"a password that is not there", false, func(w *world) {
			w.key = `
    pkcs12 {
      file          = "tls.p12"
      password_file = "/nowhere/password"
    }
  `
		}, Problem, checkOutput, "/nowhere/password"},
		{"a file in the directory's place", false, func(w *world) {
			must(w.t, os.WriteFile(w.dir, nil, 0o644))
		}, Problem, checkOutput, "is not a directory"},
		{"an owner that is not known", false, func(w *world) {
			w.output = `owner = "no-such-user"`
		}, Problem, checkOutput, `user "no-such-user" is not known here`},
		{"a file system that is read-only", true, func(w *world) {
			w.mount(unix.MS_RDONLY, "size=64k")
		}, Problem, checkOutput, "read-only"},
		{"a mount that hides renames", true, func(w *world) {
			must(w.t, os.Mkdir(w.dir, 0o755))
			file := filepath.Join(w.dir, "svid.pem")
			must(w.t, os.WriteFile(file, nil, 0o644))
			must(w.t, unix.Mount(file, file, "", unix.MS_BIND, ""))
			w.t.Cleanup(func() { must(w.t, unix.Unmount(file, 0)) })
		}, Problem, checkOutput, `is a mount point of its own, and cannot be replaced: mount the whole directory, or set publish = "in-place"`},
		{"no room", true, func(w *world) {
			w.mount(0, "size=16k")
		}, Problem, checkOutput, "no room: "},
		{"no room for another file", true, func(w *world) {
			w.mount(0, "nr_inodes=4")
		}, Problem, checkOutput, "can hold 3 more files"},
		{"keys on a disk", true, func(w *world) {
			w.dir = "/var/lib/svidhelper-doctor-test/tls"
		}, Warning, checkOutput, "go to a disk"},
		{"a directory on the way that every user can write in", false, func(w *world) {
			must(w.t, os.Chmod(w.base, 0o777))
		}, Warning, checkOutput, "every user can write in " + "/dev/shm/"},
		{"a key that every user can read", false, func(w *world) {
			w.output = `key_mode = "0644"`
		}, Warning, checkOutput, "every user will be able to read the private key or token"},
		{"a name that leads to another place", false, func(w *world) {
			must(w.t, os.Mkdir(w.dir, 0o755))
			must(w.t, os.Symlink("/etc/ssl/key", filepath.Join(w.dir, "svid_key.pem")))
		}, Warning, checkOutput, "is a symbolic link to /etc/ssl/key"},
		{"no such command", false, func(w *world) {
			w.process = `command = ["no-such-command"]`
		}, Problem, checkProcess, `command "no-such-command" not found`},
		{"a command that cannot be executed", false, func(w *world) {
			w.process = fmt.Sprintf("command = [%q]", w.text("no program"))
		}, Problem, checkProcess, "cannot be executed"},
		{"a user who cannot read the key", true, func(w *world) {
			w.process += "\n  user = \"nobody\""
		}, Problem, checkProcess, "its user could not read " + "/dev/shm/"},
		{"a user who cannot read the key that is there", true, func(w *world) {
			w.process += "\n  user = \"nobody\""
			must(w.t, os.Mkdir(w.dir, 0o755))
			must(w.t, os.WriteFile(filepath.Join(w.dir, "svid_key.pem"), nil, 0o600))
			w.output = `file_mode = "0644"
  key_mode  = "0640"
  group     = "nogroup"`
		}, Problem, checkProcess, "nobody cannot read what is published"},
		{"a hook whose command is not there", false, func(w *world) {
			w.hook = `command = ["/nowhere/reload"]`
		}, Problem, checkHook, "other: "},
		{"a pid file without a pid", false, func(w *world) {
			w.hook = fmt.Sprintf("pid_file = %q", w.text("nginx\x1b[2J\n"))
		}, Problem, checkHook, "is not a pid"},
		{"a pid file of a process that has ended", false, func(w *world) {
			ended := exec.Command("true")
			must(w.t, ended.Run())
			w.hook = fmt.Sprintf("pid_file = %q", w.text(fmt.Sprint(ended.ProcessState.Pid())))
		}, Problem, checkHook, "the process is gone: start it, or remove its pid file"},
		{"a pid file that is not there", false, func(w *world) {
			w.hook = `pid_file = "/nowhere/nginx.pid"`
		}, Warning, checkHook, "it is told once it is there"},
		{"a process that is not there", false, func(w *world) {
			w.hook = `process_name = "no-such-name"`
		}, Warning, checkHook, `no process is named "no-such-name"`},
		{"a port that another program has", false, func(w *world) {
			w.health = tcp(w.t, func(c net.Conn) { c.Close() })
		}, Problem, checkHealth, "set another address"},
		{"a proof of what speaks no TLS", false, func(w *world) {
			w.proof = tcp(w.t, func(c net.Conn) { fmt.Fprintln(c, "220 ready"); c.Close() })
		}, Problem, checkProof, "the service does not speak TLS here"},
		{"a proof whose command is not there", false, func(w *world) {
			w.more = `command = ["/nowhere/check"]`
		}, Problem, checkProof, "/nowhere/check"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.root {
				needRoot(t)
			}
			w := newWorld(t)
			c.spoil(w)
			r := w.examine()
			if f := r.find(c.level, c.check, c.words); f != nil {
				t.Logf("%s %s %s: %s", f.Level, f.Check, f.Subject, f.Text)
			} else {
				t.Errorf("no %s of %s says %q:", c.level, c.check, c.words)
			}
			for _, f := range r.Findings {
				// What the Workload API refuses takes other profiles along.
				of := strings.HasSuffix(f.Check, "_svid") && strings.HasSuffix(c.check, "_svid")
				if f.Level != OK && f.Check != c.check && !of || t.Failed() {
					t.Errorf("%+v", f)
				}
				if strings.ContainsAny(f.Text+f.Subject, "\x1b\n") {
					t.Errorf("not fit for a terminal: %q", f.Text)
				}
			}
		})
	}
}

// TestAHandlerThatIsMissing: a process has ten seconds to install one.
func TestAHandlerThatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	deaf := exec.Command("sleep", "1000")
	must(t, deaf.Start())
	t.Cleanup(func() { _ = deaf.Process.Kill(); _ = deaf.Wait() })
	w.hook = fmt.Sprintf("pid_file = %q", w.text(fmt.Sprint(deaf.Process.Pid)))
	if r := w.examine(); r.find(OK, checkHook, "takes its signal") == nil {
		t.Errorf("a young process: %+v", r.Findings)
	}
	testbed.Eventually(t, func() error {
		if r := w.look(); r.find(Problem, checkHook, "it has no handler for SIGHUP, which would end it") == nil {
			return fmt.Errorf("%+v", r.Findings)
		}
		return nil
	})
}

// TestProofOfTrust: the service has the SVID of today, and does not name the
// authority that has issued it. A command of a proof is looked for, and not run.
func TestProofOfTrust(t *testing.T) {
	w := newWorld(t)
	api, _ := devapitest.Start(t, w.api)
	w.address = api.Addr()
	var trusted atomic.Pointer[x509.CertPool]
	w.proof = tcp(t, func(c net.Conn) {
		defer c.Close()
		svid := api.SVIDs()[0]
		own := tls.Certificate{PrivateKey: svid.PrivateKey}
		for _, cert := range svid.Certificates {
			own.Certificate = append(own.Certificate, cert.Raw)
		}
		_, _ = io.Copy(io.Discard, tls.Server(c, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: trusted.Load()}))
	})
	mark := filepath.Join(t.TempDir(), "run")
	w.more = fmt.Sprintf("client_ca = true\n command = [\"touch\", %q]", mark)
	trust := func(certs []*x509.Certificate) {
		pool := x509.NewCertPool()
		for _, c := range certs {
			pool.AddCert(c)
		}
		trusted.Store(pool)
	}
	trust(api.SVIDs()[0].Certificates) // not the authority
	if f := w.look(); f.find(Warning, checkProof, "which the Workload API gives now, but it does not name the X.509 authority") == nil {
		t.Errorf("%+v", f.Findings)
	}
	trust(api.X509Bundles().Bundles()[0].X509Authorities())
	if f := w.look(); f.find(OK, checkProof, "which the Workload API gives now") == nil || f.find(OK, checkProof, "can be executed") == nil {
		t.Errorf("%+v", f.Findings)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the command was run")
	}
}

// TestHealthOfARunningHelper: the port that a helper has is no problem.
func TestHealthOfARunningHelper(t *testing.T) {
	w := newWorld(t)
	w.health = tcp(t, func(c net.Conn) {
		defer c.Close()
		_, _ = c.Read(make([]byte, 4096))
		fmt.Fprint(c, "HTTP/1.0 200 OK\r\n\r\n# HELP\nsvidhelper_build_info 1\n")
	})
	if r := w.examine(); r.find(OK, checkHealth, "a running svidhelper answers there") == nil {
		t.Errorf("%+v", r.Findings)
	}
}

// TestConfigurationMistakes: the parser's findings are the doctor's.
func TestConfigurationMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "helper.conf")
	must(t, os.WriteFile(file, []byte("certDir = \"/run/tls\"\n"), 0o644))
	_, _, diagnostics := config.Check(file)
	var r Report
	r.Configuration(file, diagnostics)
	if r.find(Problem, checkConfig, file+`:1:1: unknown key "certDir"; `) == nil {
		t.Errorf("%+v", r.Findings)
	}
}

// listen makes a socket, and returns its address.
func (w *world) listen(then func(*net.UnixListener)) string {
	w.t.Helper()
	path := devapitest.Socket(w.t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	must(w.t, err)
	w.t.Cleanup(func() { l.Close() })
	then(l)
	return "unix://" + path
}

func hangUp(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}

// tcp serves each connection on a port, and returns the address.
func tcp(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
		}
	}()
	return l.Addr().String()
}

// text writes a file, and returns its path.
func (w *world) text(content string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "file")
	must(w.t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// mount has the output's directory on a file system of its own.
func (w *world) mount(flags uintptr, options string) {
	w.t.Helper()
	must(w.t, os.Mkdir(w.dir, 0o755))
	must(w.t, unix.Mount("tmpfs", w.dir, "tmpfs", flags, options))
	w.t.Cleanup(func() { must(w.t, unix.Unmount(w.dir, 0)) })
}

// needRoot skips a test that takes root's rights, or fails it where nothing may be
// skipped.
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
