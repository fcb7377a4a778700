//go:build unix

package helper

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/ask"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// A trouble is what can make a helper not ready. hurt and mend return when ready
// has to turn.
type trouble struct {
	name       string
	ttl        time.Duration // of SVIDs; 0: long
	config     func(w *troubled) string
	reasons    []string // why, and what to do
	hurt, mend func(w *troubled) time.Time
}

// A troubled is a helper in trouble.
type troubled struct {
	*testing.T
	api     *devapi.Server
	run     *daemonRun
	dir     string
	address string
	served  atomic.Pointer[tls.Certificate] // by the service at service
	service string
}

func (w *troubled) in(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

// config is a configuration with an output, health, and more.
func (w *troubled) config(output, more string) string {
	return fmt.Sprintf("output %q {\n%s\n}\nhealth { address = %q }\nrevocation_grace = \"50ms\"\n%s\n", w.in("certs"), output, w.address, more)
}

// must fails the test at once.
func (w *troubled) must(errs ...error) {
	w.Helper()
	for _, err := range errs {
		if err != nil {
			w.Fatal(err)
		}
	}
}

// serve has the service serve the pair that is on disk.
func (w *troubled) serve() {
	w.Helper()
	eventually(w.T, func() error {
		c, err := tls.LoadX509KeyPair(w.in("certs", "svid.pem"), w.in("certs", "svid_key.pem"))
		if err == nil && c.Leaf.SerialNumber.Cmp(w.api.SVIDs()[0].Certificates[0].SerialNumber) == 0 {
			w.served.Store(&c)
			return nil
		}
		return notYet("the last SVID is not on disk: %v", err)
	})
}

// listen runs the service until the end of the test.
func (w *troubled) listen() {
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c := w.served.Load(); c != nil {
			return c, nil
		}
		return nil, net.ErrClosed
	}})
	w.must(err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _ = conn.(*tls.Conn).Handshake(); conn.Close() })
		}
	})
	w.Cleanup(func() { ln.Close(); serving.Wait() })
	w.service = ln.Addr().String()
}

// asked reports where the socket says something else than /ready.
func (w *troubled) asked(ready string) error {
	var said struct{ Reasons []string }
	a, err := ask.Ask(w.Context(), w.in("certs"), "", ask.Ready)
	if err != nil { // a new configuration has moved the files
		a, err = ask.Ask(w.Context(), w.in("others"), "", ask.Ready)
	}
	if err = errors.Join(err, json.Unmarshal([]byte(ready), &said)); err != nil {
		return err
	}
	if a.Ready != (len(said.Reasons) == 0) || len(a.Reasons) != len(said.Reasons) {
		return notYet("asked: %+v, and /ready: %s", a, ready)
	}
	return nil
}

const oneSVID = "  x509_svid {}"

var troubles = []trouble{
	{
		name: "expired", ttl: 3 * time.Second, reasons: []string{"expired at", "start the agent that provides it"},
		config: func(w *troubled) string { return w.config(oneSVID, "") },
		hurt: func(w *troubled) time.Time {
			w.api.Down()
			return leafOnDisk(w.T, w.in("certs"), "svid.pem").NotAfter
		},
		mend: func(w *troubled) time.Time {
			w.api.Rotate()
			w.must(w.api.Up())
			return time.Now()
		},
	},
	{
		name: "cannot be published", reasons: []string{"svid.pem"},
		config: func(w *troubled) string { return w.config(oneSVID+"\n  publish = \"rename\"", "") },
		hurt: func(w *troubled) time.Time {
			w.must(os.Remove(w.in("certs", "svid.pem")), os.MkdirAll(w.in("certs", "svid.pem", "in the way"), 0o755))
			return time.Now()
		},
		mend: func(w *troubled) time.Time {
			w.must(os.RemoveAll(w.in("certs", "svid.pem")))
			return time.Now()
		},
	},
	{
		name: "not proven", reasons: []string{"proof of service: ", "look at its reload and its paths"},
		config: func(w *troubled) string {
			return w.config(oneSVID, fmt.Sprintf("hook \"service\" {\n command = [\"true\"]\n proof {\n tls = %q\n timeout = \"300ms\"\n }\n}", w.service))
		},
		hurt: func(w *troubled) time.Time {
			w.api.Rotate()
			w.run.log.Await(w.T, 1, "rotation not proven")
			return time.Now()
		},
		mend: func(w *troubled) time.Time {
			w.serve()
			return time.Now()
		},
	},
	{
		name: "hook", reasons: []string{"hook proxy: ", "exit status 3, saying \\\"no such proxy\\\"", "its target has not heard of the last rotation"},
		config: func(w *troubled) string {
			return w.config(oneSVID, fmt.Sprintf("hook \"proxy\" {\n command = [\"sh\", \"-c\", %q]\n}",
				fmt.Sprintf("if [ -e %s ]; then echo no such proxy; exit 3; fi", w.in("gone"))))
		},
		hurt: func(w *troubled) time.Time {
			w.must(os.WriteFile(w.in("gone"), nil, 0o644))
			w.api.Rotate()
			w.run.log.Await(w.T, 1, "hook failed")
			return time.Now()
		},
		mend: func(w *troubled) time.Time {
			w.must(os.Remove(w.in("gone")))
			w.api.Rotate()
			return time.Now()
		},
	},
	{
		name: "refused", reasons: []string{"is refused since", "no X.509-SVID with hint \\\"db\\\""},
		config: func(w *troubled) string { return w.config("  x509_svid { hint = \"db\" }", "") },
		hurt: func(w *troubled) time.Time {
			w.must(w.api.SetIdentities(anyIdentity("web")))
			return time.Now().Add(50 * time.Millisecond)
		},
		mend: func(w *troubled) time.Time {
			w.must(w.api.SetIdentities(anyIdentity("db")))
			return time.Now()
		},
	},
	{
		name: "crashes again and again", reasons: []string{"process: it ended by itself with status 3, 3 times in a row", "what it printed says why"},
		config: func(w *troubled) string {
			return w.config(oneSVID, fmt.Sprintf("process {\n restart = \"always\"\n on_rotation = \"none\"\n command = [\"sh\", \"-c\", %q]\n}",
				fmt.Sprintf("while [ ! -e %[1]s/crash ]; do sleep 0.02; done; echo >>%[1]s/crashed; exit 3", w.dir)))
		},
		hurt: func(w *troubled) time.Time {
			w.must(os.WriteFile(w.in("crash"), nil, 0o644))
			eventually(w.T, func() error {
				if n := strings.Count(read(w.in("crashed")), "\n"); n < 3 {
					return notYet("%d crashes", n)
				}
				return nil
			})
			return time.Now()
		},
		mend: func(w *troubled) time.Time {
			w.must(os.Remove(w.in("crash")))
			w.run.log.Await(w.T, 4, "process started") // its backoff is over
			return time.Now()
		},
	},
	{
		name: "a new process that cannot be started", reasons: []string{"the one of the new configuration is not started", "nobody"},
		config: func(w *troubled) string {
			return w.config(oneSVID, "process {\n on_rotation = \"none\"\n command = [\"sleep\", \"1000\"]\n}")
		},
		hurt: func(w *troubled) time.Time {
			w.run.write(strings.NewReplacer(
				w.in("certs"), w.in("others"), "on_rotation", "user = \"nobody\"\n on_rotation",
			).Replace(w.run.text))
			w.run.log.Await(w.T, 1, "the process of the new configuration is not started")
			return time.Now()
		},
		mend: func(w *troubled) time.Time {
			w.run.write(w.run.text)
			w.run.log.Await(w.T, 2, "the new configuration is in effect")
			return time.Now()
		},
	},
}

func anyIdentity(name string) devapi.Identity {
	return devapi.Identity{ID: spiffeid.RequireFromString("spiffe://example.org/" + name), Hint: name}
}

// TestReadyTurnsWithinASecond: whatever the trouble, ready is false within a
// second of it, and names it; and true within a second of its end.
func TestReadyTurnsWithinASecond(t *testing.T) {
	for _, c := range troubles {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "a new process that cannot be started" && os.Geteuid() != 0 {
				t.Log("only root can run a process as another user: not tried")
				return
			}
			t.Parallel()
			w := &troubled{T: t, dir: t.TempDir(), address: freeAddress(t)}
			w.api, _ = devapitest.Start(t, devapi.Config{ManualRotation: true, TTL: c.ttl, Identities: []devapi.Identity{anyIdentity("db")}})
			w.listen()
			w.run = startDaemon(t, w.api, c.config(w))
			if c.name == "not proven" {
				w.serve()
			}
			awaitReadyAgain(t, w.api, w.address)

			machine := testbed.StartPulse()
			defer machine.Stop()
			within := func(what string, turned, since time.Time) {
				t.Helper()
				late := machine.Since(since)
				t.Logf("%s %v after it had to be; the machine was late by up to %v", what, turned.Sub(since).Round(time.Millisecond), late)
				if turned.Sub(since)-hops*late > time.Second {
					t.Errorf("%s %v after it had to be", what, turned.Sub(since))
				}
			}
			since := c.hurt(w)
			within("not ready", awaitReady(t, w.address, http.StatusServiceUnavailable), since)
			eventually(t, func() error {
				_, body, err := get("http://" + w.address + "/ready")
				if err != nil || !holdsAll(body, c.reasons) {
					return notYet("ready: %s %v; want the reasons %q", body, err, c.reasons)
				}
				return w.asked(body)
			})
			since = c.mend(w)
			within("ready", awaitReadyAgain(t, w.api, w.address), since)
		})
	}
}

// TestReadyWaitsForTheFirstProof: what a probe lets in finds the service with its
// certificate. While a later rotation is on its way, ready stays as it was.
func TestReadyWaitsForTheFirstProof(t *testing.T) {
	t.Parallel()
	w := &troubled{T: t, dir: t.TempDir(), address: freeAddress(t)}
	w.api, _ = devapitest.Start(t, devapi.Config{ManualRotation: true})
	w.listen()
	w.run = startDaemon(t, w.api, w.config(oneSVID, fmt.Sprintf("hook \"service\" {\n command = [\"true\"]\n proof {\n tls = %q\n timeout = \"1h\"\n }\n}", w.service)))
	is := func(status int, what string) {
		t.Helper()
		eventually(t, func() error {
			code, body, err := get("http://" + w.address + "/ready")
			if err != nil || code != status || !strings.Contains(body, what) {
				return notYet("ready: %d %s %v", code, body, err)
			}
			return w.asked(body)
		})
	}
	w.run.log.Await(t, 1, "published")
	is(http.StatusServiceUnavailable, "proof of service: the first one has not succeeded yet")
	w.serve()
	w.run.log.Await(t, 1, "rotation proven")
	is(http.StatusOK, "")

	serial := w.served.Load().Leaf.SerialNumber
	w.api.Rotate()
	eventually(t, func() error {
		if _, body, err := get("http://" + w.address + "/status.json"); !strings.Contains(body, `"proven":false`) {
			return notYet("the proof is not under way: %s %v", body, err)
		}
		return nil
	})
	if code, body, err := get("http://" + w.address + "/ready"); code != http.StatusOK || w.asked(body) != nil {
		t.Errorf("a rotation is on its way, and %s is served: %d %s %v", serial, code, body, err)
	}
	w.serve()
	w.run.log.Await(t, 2, "rotation proven")
	is(http.StatusOK, "")
}
