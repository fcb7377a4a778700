package helper

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// A reloading is a helper whose configuration changes once.
type reloading struct {
	*daemonRun
	t       *testing.T
	api     *devapi.Server
	faults  *devapi.Faults
	dir     string
	address string // of health
	text    string
	pid     int // of the process before the change
}

func (r *reloading) in(parts ...string) string {
	return filepath.Join(append([]string{r.dir}, parts...)...)
}

// replace returns the text with a part of it changed.
func (r *reloading) replace(old, now string) string {
	r.t.Helper()
	if !strings.Contains(r.text, old) {
		r.t.Fatalf("%q is not in the configuration", old)
	}
	return strings.Replace(r.text, old, now, 1)
}

// pids are those of the processes so far.
func (r *reloading) pids() []int {
	var all []int
	for line := range strings.Lines(read(r.in("record"))) {
		if text, is := strings.CutPrefix(line, "started "); is {
			pid, _ := strconv.Atoi(strings.TrimSpace(text))
			all = append(all, pid)
		}
	}
	return all
}

// awaitProcess waits until n processes have been started.
func (r *reloading) awaitProcess(n int) {
	r.t.Helper()
	eventually(r.t, func() error {
		if pids := r.pids(); len(pids) != n {
			return notYet("processes %v, want %d", pids, n)
		}
		return nil
	})
}

// goesOn checks that the process is the one before, and still hears of rotations.
func (r *reloading) goesOn() {
	r.t.Helper()
	before := strings.Count(read(r.in("record")), "hangup")
	r.api.Rotate()
	eventually(r.t, func() error {
		if strings.Count(read(r.in("record")), "hangup") <= before {
			return notYet("the process has not been told of a rotation")
		}
		return nil
	})
	if pids := r.pids(); !slices.Equal(pids, []int{r.pid}) {
		r.t.Errorf("processes %v, want the one before, %d", pids, r.pid)
	}
}

// exchanged checks that one process has taken the place of the one before.
func (r *reloading) exchanged() {
	r.t.Helper()
	r.awaitProcess(2)
	if !strings.Contains(read(r.in("record")), "terminated") {
		r.t.Error("the process before was not asked to end")
	}
}

// TestReloads: for each part of the configuration that changes, and for each that
// can be refused, what goes on, what changes, and when.
func TestReloads(t *testing.T) {
	const inEffect, refused = "the new configuration is in effect", "the running one stays"
	for name, c := range map[string]struct {
		change func(r *reloading) string
		says   string // in the log
		then   func(r *reloading)
	}{
		"revocation_grace": {
			change: func(r *reloading) string { return r.replace(`"30s"`, `"20s"`) }, says: inEffect,
			then: func(r *reloading) {
				r.goesOn()
				if n := len(r.faults.Attempts(devapi.FetchX509SVID)); n != 1 {
					r.t.Errorf("the stream was opened %d times", n)
				}
			},
		},
		"on_revoked": {
			change: func(r *reloading) string { return "on_revoked = \"remove\"\n" + r.text }, says: inEffect,
			then: (*reloading).goesOn,
		},
		"another agent": {
			change: func(r *reloading) string {
				other, _ := devapitest.Start(r.t, devapi.Config{ManualRotation: true})
				r.api = other
				return r.replace("events", fmt.Sprintf("agent_address = %q\nevents", other.Addr()))
			}, says: inEffect,
			then: (*reloading).goesOn,
		},
		"an agent that is not there": {
			change: func(r *reloading) string {
				return r.replace("events", fmt.Sprintf("agent_address = %q\nevents", r.in("nowhere.sock")))
			}, says: inEffect,
			then: func(r *reloading) {
				r.log.Await(r.t, 1, "not connected")
				r.stays()
			},
		},
		"an agent that calls the request invalid": {
			change: func(r *reloading) string { return r.otherAgent(codes.InvalidArgument) }, says: inEffect,
			then: func(r *reloading) { r.log.Await(r.t, 1, "not receiving", "InvalidArgument"); r.stays() },
		},
		"an agent that knows no X.509-SVIDs": {
			change: func(r *reloading) string { return r.otherAgent(codes.Unimplemented) }, says: inEffect,
			then: func(r *reloading) { r.log.Await(r.t, 1, "not receiving", "Unimplemented"); r.stays() },
		},
		"an address that is none": {
			change: func(r *reloading) string { return "agent_address = \"http://x\"\n" + r.text }, says: refused,
			then: (*reloading).goesOn,
		},
		"events": {
			change: func(r *reloading) string { return r.replace("events.jsonl", "other.jsonl") }, says: inEffect,
			then: func(r *reloading) {
				r.goesOn()
				eventually(r.t, func() error {
					if !strings.Contains(read(r.in("other.jsonl")), `"published"`) {
						return notYet("no event in the new file")
					}
					return nil
				})
			},
		},
		"one more output": {
			change: func(r *reloading) string {
				return r.text + fmt.Sprintf("output %q {\n x509_svid {}\n}\n", r.in("more"))
			}, says: inEffect,
			then: func(r *reloading) { r.onDisk("more", "svid.pem"); r.goesOn() },
		},
		"another directory": {
			change: func(r *reloading) string { return r.replace(r.in("certs"), r.in("moved")) }, says: inEffect,
			then: func(r *reloading) { r.onDisk("moved", "svid.pem"); r.goesOn() },
		},
		"another file name": {
			change: func(r *reloading) string {
				return r.replace("x509_svid {}", "x509_svid {\n cert = \"tls.crt\"\n key = \"tls.key\"\n}")
			}, says: inEffect,
			then: func(r *reloading) {
				r.onDisk("certs", "tls.crt")
				eventually(r.t, func() error { // the new names come first
					if _, err := os.Lstat(r.in("certs", "svid.pem")); err == nil {
						return notYet("the old name is still there")
					}
					return nil
				})
				r.goesOn()
			},
		},
		"another encoding": {
			change: func(r *reloading) string {
				return r.replace("x509_svid {}", "x509_svid {\n key_encoding = \"traditional\"\n}")
			},
			says: inEffect,
			then: func(r *reloading) {
				eventually(r.t, func() error {
					if !strings.Contains(read(r.in("certs", "svid_key.pem")), "EC PRIVATE KEY") {
						return notYet("the key is as before")
					}
					return nil
				})
				r.goesOn()
			},
		},
		"an owner that is not known": {
			change: func(r *reloading) string { return r.replace("x509_svid {}", "owner = \"no-such-user\"\n x509_svid {}") },
			says:   refused, then: (*reloading).goesOn,
		},
		"a file in the way of a directory": {
			change: func(r *reloading) string { return r.replace(r.in("certs"), r.in("record")) },
			says:   refused, then: (*reloading).goesOn,
		},
		"a token that is denied": {
			change: func(r *reloading) string {
				r.faults.Deny(devapi.FetchJWTSVID)
				return r.replace("x509_svid {}", "x509_svid {}\n jwt_svid {\n audience = [\"a\"]\n file = \"a.jwt\"\n}")
			}, says: inEffect,
			then: (*reloading).goesOn,
		},
		"on_rotation": {
			change: func(r *reloading) string { return r.replace(`"SIGHUP"`, `"SIGUSR1"`) }, says: inEffect,
			then: (*reloading).exchanged,
		},
		"the environment of the process": {
			change: func(r *reloading) string { return r.replace("env     = {", "env     = { MORE = \"1\",") }, says: inEffect,
			then: (*reloading).exchanged,
		},
		"a command that does not exist": {
			change: func(r *reloading) string { return r.replace("command = [", "command = [\"/no/such/command\", ") },
			says:   refused, then: (*reloading).goesOn,
		},
		"a process user that is not known": {
			change: func(r *reloading) string { return r.replace("on_rotation", "user = \"no-such-user\"\n on_rotation") },
			says:   refused, then: (*reloading).goesOn,
		},
		"a process user that cannot read the key": {
			change: func(r *reloading) string {
				if os.Geteuid() != 0 {
					r.t.Skip("needs root, to become another user")
				}
				return r.replace("on_rotation", "user = \"nobody\"\n on_rotation")
			}, says: refused,
			then: func(r *reloading) { r.log.Await(r.t, 1, "cannot read what is published"); r.goesOn() },
		},
		"a process that needs a token that is denied": {
			change: func(r *reloading) string {
				r.faults.Deny(devapi.FetchJWTSVID)
				r.text = r.replace(`"SIGHUP"`, `"SIGUSR1"`)
				return r.replace("x509_svid {}", "x509_svid {}\n jwt_svid {\n audience = [\"a\"]\n file = \"a.jwt\"\n}")
			}, says: inEffect,
			then: func(r *reloading) {
				r.log.Await(r.t, 1, "waiting for the Workload API", "JWT-SVID")
				r.goesOn() // as long as that takes
				r.faults.Heal()
				r.exchanged()
			},
		},
		"no process any more": {
			change: func(r *reloading) string {
				return r.text[:strings.Index(r.text, "process {")] + r.text[strings.Index(r.text, "hook "):]
			}, says: inEffect,
			then: func(r *reloading) {
				r.log.Await(r.t, 1, "process ended")
				r.api.Rotate()
				r.log.Await(r.t, 2, "published")
			},
		},
		"one more hook": {
			change: func(r *reloading) string { return r.text + r.hook("more") }, says: inEffect,
			then: func(r *reloading) { r.onDisk("hook-more"); r.goesOn() },
		},
		"another hook command": {
			change: func(r *reloading) string { return r.replace("hook-tell", "hook-changed") }, says: inEffect,
			then: func(r *reloading) { r.goesOn(); r.onDisk("hook-changed") },
		},
		"no hook any more": {
			change: func(r *reloading) string {
				return r.text[:strings.Index(r.text, "hook ")] + r.text[strings.Index(r.text, "health {"):]
			}, says: inEffect,
			then: (*reloading).goesOn,
		},
		"a hook of two kinds": {
			change: func(r *reloading) string { return r.replace("hook \"tell\" {", "hook \"tell\" {\n pid_file = \"/x\"") },
			says:   refused, then: (*reloading).goesOn,
		},
		"another health address": {
			change: func(r *reloading) string {
				old := r.address
				r.address = freeAddress(r.t)
				return r.replace(old, r.address)
			}, says: inEffect,
			then: func(r *reloading) { awaitReady(r.t, r.address, http.StatusOK); r.goesOn() },
		},
		"a health address that is taken": {
			change: func(r *reloading) string {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					r.t.Fatal(err)
				}
				r.t.Cleanup(func() { ln.Close() })
				return r.replace(r.address, ln.Addr().String())
			}, says: refused,
			then: func(r *reloading) { awaitReady(r.t, r.address, http.StatusOK); r.goesOn() },
		},
		"another health path": {
			change: func(r *reloading) string { return r.replace("health {", "health {\n ready_path = \"/well\"") }, says: inEffect,
			then: func(r *reloading) {
				if status, body, err := get("http://" + r.address + "/well"); status != http.StatusOK {
					r.t.Errorf("%d %s %v", status, body, err)
				}
				r.goesOn()
			},
		},
		"no health any more": {
			change: func(r *reloading) string { return r.text[:strings.Index(r.text, "health {")] }, says: inEffect,
			then: (*reloading).goesOn,
		},
		"a file that is no configuration": {
			change: func(r *reloading) string { return r.text + "output {" }, says: refused,
			then: func(r *reloading) {
				status, body, err := get("http://" + r.address + "/ready")
				if status != http.StatusOK || !strings.Contains(body, "the configuration file is refused") {
					r.t.Errorf("%d %s %v", status, body, err)
				}
				if n := metric(r.t, r.address, "svidhelper_config_last_reload_successful"); n != 0 {
					r.t.Errorf("the last reload is said to be successful: %v", n)
				}
				eventually(r.t, func() error { // which is written after the log
					if !strings.Contains(read(r.in("events.jsonl")), `"failed":"reload"`) {
						return notYet("no event of the refused configuration")
					}
					return nil
				})
				r.goesOn()
				r.write(r.text)
				r.log.Await(r.t, 1, "the file says again what is running")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startReloading(t)
			r.write(c.change(r))
			r.log.Await(t, 1, c.says)
			c.then(r)
			select {
			case err := <-r.done:
				r.done <- err
				t.Errorf("the helper ended: %v", err)
			default:
			}
		})
	}
}

func startReloading(t *testing.T) *reloading {
	t.Helper()
	r := &reloading{t: t, dir: t.TempDir(), address: freeAddress(t)}
	r.api, r.faults = devapitest.Start(t, devapi.Config{ManualRotation: true})
	r.text = fmt.Sprintf("revocation_grace = \"30s\"\nevents = %q\noutput %q {\n x509_svid {}\n}\n", r.in("events.jsonl"), r.in("certs")) +
		childProcess(t, r.in("record"), `on_rotation = "SIGHUP"`) + r.hook("tell") + fmt.Sprintf("health {\n address = %q\n}\n", r.address)
	r.daemonRun = startDaemon(t, r.api, r.text)
	awaitStarted(t, r.in("record"))
	r.pid = r.pids()[0]
	awaitReady(t, r.address, http.StatusOK)
	r.onDisk("hook-tell")
	return r
}

// hook is a hook that leaves a file.
func (r *reloading) hook(name string) string {
	return fmt.Sprintf("hook %q {\n command = [\"touch\", %q]\n}\n", name, r.in("hook-"+name))
}

// otherAgent is the configuration with an agent that answers with an error.
func (r *reloading) otherAgent(code codes.Code) string {
	other, faults := devapitest.Start(r.t, devapi.Config{ManualRotation: true})
	faults.Fail(code, devapi.FetchX509SVID)
	return r.replace("events", fmt.Sprintf("agent_address = %q\nevents", other.Addr()))
}

func (r *reloading) onDisk(parts ...string) {
	r.t.Helper()
	eventually(r.t, func() error {
		if _, err := os.Stat(r.in(parts...)); err != nil {
			return notYet("%v", err)
		}
		return nil
	})
}

// stays checks that the process and its files are as before.
func (r *reloading) stays() {
	r.t.Helper()
	if pids := r.pids(); !slices.Equal(pids, []int{r.pid}) || strings.Contains(read(r.in("record")), "terminated") {
		r.t.Errorf("the process before does not go on: %s", read(r.in("record")))
	}
	r.onDisk("certs", "svid_key.pem")
}
