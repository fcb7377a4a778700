package source

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// pass lets d go by: for how long something is down is what is tested.
func pass(d time.Duration) { <-time.After(d) }

// arrival waits for an SVID with that serial number.
func arrival(t *testing.T, s *Source, serial string) {
	t.Helper()
	await(t, s, "the SVID "+serial, func(snap *snapshot.Snapshot, _ *Status) bool {
		return snap != nil && snap.X509 != nil && snap.X509.SVIDs[0].Certificates[0].SerialNumber.String() == serial
	})
}

func serial(api *devapi.Server) string { return api.SVIDs()[0].Certificates[0].SerialNumber.String() }

// outages takes a server down for d, n times, and returns how long after its
// return the new SVID was there, each time.
func outages(t *testing.T, p *testbed.Pulse, c devapi.Config, d time.Duration, n int) []sample {
	c.ManualRotation = true
	api, faults := devapitest.Start(t, c)
	s, err := New(Config{Address: api.Addr(), Needs: Needs{X509: true, X509Bundles: true}}, (&logCounter{}).logger())
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	arrival(t, s, serial(api))
	var took []sample
	for i := range n {
		if i%2 == 0 {
			api.Down()
		} else {
			api.Crash()
		}
		pass(d)
		api.Rotate()
		before := len(faults.Connections())
		if err := api.Up(); err != nil {
			t.Error(err)
			return took
		}
		start := time.Now() // how long a file system takes to make a socket is its own affair
		arrival(t, s, serial(api))
		took = append(took, since(p, start))
		if n := len(faults.Connections()) - before; n > 2 {
			t.Errorf("%d connections for one return of the socket", n)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	return took
}

// The server is down for a while, then its socket is back and it has a new SVID.
func TestConnectedPromptlyAfterAnOutage(t *testing.T) {
	type series struct {
		down         time.Duration
		each, repeat int // repeat times in sequence, in each of that many pairs of source and server
	}
	all := []series{{100 * time.Millisecond, 2, 25}, {time.Second, 10, 5}}
	if os.Getenv("SVIDHELPER_SOAK") == "1" {
		all = append(all, series{20 * time.Second, 10, 5}, series{120 * time.Second, 25, 2})
	}
	for _, sr := range all {
		promptly(t, fmt.Sprintf("down %v", sr.down), func(p *testbed.Pulse) []sample {
			var took []sample
			var mu sync.Mutex
			var pairs sync.WaitGroup
			for i := range sr.each {
				pairs.Go(func() {
					pass(time.Duration(i) * 70 * time.Millisecond) // not all at once
					d := outages(t, p, devapi.Config{}, sr.down, sr.repeat)
					mu.Lock()
					took = append(took, d...)
					mu.Unlock()
				})
			}
			pairs.Wait()
			return took
		})
	}
}

// Ways in which a socket can appear after the source has started. Each returns
// the path to use, and the function that lets it appear there.
var appearances = map[string]func(t *testing.T, dir string) (path string, appear func()){
	"socket": func(t *testing.T, dir string) (string, func()) {
		return filepath.Join(dir, "api.sock"), prepare(t, filepath.Join(dir, "api.sock"))
	},
	"directory and socket": func(t *testing.T, dir string) (string, func()) {
		path := filepath.Join(dir, "a", "b", "c", "api.sock")
		return path, prepare(t, path)
	},
	"directory moved into place": func(t *testing.T, dir string) (string, func()) {
		serveAt(t, filepath.Join(dir, "new", "public", "api.sock"))
		return filepath.Join(dir, "agent", "public", "api.sock"), func() {
			check(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "agent")))
		}
	},
	"directory replaced as a whole": func(t *testing.T, dir string) (string, func()) {
		check(t, os.MkdirAll(filepath.Join(dir, "agent", "public"), 0o755))
		serveAt(t, filepath.Join(dir, "new", "public", "api.sock"))
		return filepath.Join(dir, "agent", "public", "api.sock"), func() {
			check(t, os.Rename(filepath.Join(dir, "agent"), filepath.Join(dir, "old")))
			check(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "agent")))
		}
	},
	"directory removed and made again": func(t *testing.T, dir string) (string, func()) {
		path := filepath.Join(dir, "agent", "api.sock")
		check(t, os.Mkdir(filepath.Join(dir, "agent"), 0o755))
		start := prepare(t, path)
		return path, func() {
			check(t, os.Remove(filepath.Join(dir, "agent")))
			start()
		}
	},
	"link to the directory": func(t *testing.T, dir string) (string, func()) {
		serveAt(t, filepath.Join(dir, "real", "api.sock"))
		return filepath.Join(dir, "link", "api.sock"), func() {
			check(t, os.Symlink("real", filepath.Join(dir, "link")))
		}
	},
	"behind a link to a directory": func(t *testing.T, dir string) (string, func()) {
		check(t, os.Symlink(filepath.Join(dir, "x", "..", "real"), filepath.Join(dir, "link")))
		check(t, os.Mkdir(filepath.Join(dir, "x"), 0o755))
		return filepath.Join(dir, "link", "api.sock"), prepare(t, filepath.Join(dir, "real", "api.sock"))
	},
	"link to the socket": func(t *testing.T, dir string) (string, func()) {
		serveAt(t, filepath.Join(dir, "real", "api.sock"))
		return filepath.Join(dir, "api.sock"), func() {
			check(t, os.Symlink(filepath.Join(dir, "real", "api.sock"), filepath.Join(dir, "api.sock")))
		}
	},
	"link switched to another directory": func(t *testing.T, dir string) (string, func()) {
		check(t, os.Mkdir(filepath.Join(dir, "old"), 0o755))
		check(t, os.Symlink("old", filepath.Join(dir, "current")))
		serveAt(t, filepath.Join(dir, "new", "api.sock"))
		check(t, os.Symlink("new", filepath.Join(dir, "next")))
		return filepath.Join(dir, "current", "api.sock"), func() {
			check(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "current")))
		}
	},
	"in place of a socket left behind": func(t *testing.T, dir string) (string, func()) {
		path := filepath.Join(dir, "api.sock")
		leaveSocket(t, path)
		return path, prepare(t, path)
	},
	"in place of one that never answers": func(t *testing.T, dir string) (string, func()) {
		path := filepath.Join(dir, "api.sock")
		silentServer(t, path)
		serveAt(t, filepath.Join(dir, "new.sock"))
		return path, func() { check(t, os.Rename(filepath.Join(dir, "new.sock"), path)) }
	},
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// prepare returns how to start a server, so that making its keys is not part of
// what is measured.
func prepare(t *testing.T, path string) (start func()) {
	api, _ := devapitest.New(t, devapi.Config{})
	return func() { check(t, api.Start("unix://"+path)) }
}

func serveAt(t *testing.T, path string) *devapi.Server {
	t.Helper()
	api, _ := devapitest.New(t, devapi.Config{})
	check(t, api.Start("unix://"+path))
	return api
}

// leaveSocket leaves a socket that nobody listens on.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}

// silentServer accepts connections, and nothing else.
func silentServer(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); accepting.Wait() })
}

// The socket appears three seconds after the source has started, when its
// backoff has grown long.
func TestSocketAppearsLate(t *testing.T) {
	var all sync.WaitGroup
	for i, name := range slices.Sorted(maps.Keys(appearances)) {
		all.Go(func() {
			promptly(t, name, func(p *testbed.Pulse) []sample {
				return []sample{appearsAfter(t, p, name, 3*time.Second+time.Duration(i)*100*time.Millisecond)}
			})
		})
	}
	all.Wait()
}

// appearsAfter lets a socket appear after d, and returns how long after that
// something has arrived.
func appearsAfter(t *testing.T, p *testbed.Pulse, how string, d time.Duration) sample {
	path, appear := appearances[how](t, filepath.Dir(devapitest.Socket(t)))
	return appears(t, p, how, path, appear, d)
}

func appears(t *testing.T, p *testbed.Pulse, how, path string, appear func(), d time.Duration) sample {
	s, err := New(Config{Address: "unix://" + path, Needs: Needs{X509: true}}, (&logCounter{}).logger())
	if err != nil {
		t.Error(err)
		return sample{}
	}
	stop := run(t, s)
	pass(d)
	if s.Status().Snapshot != nil {
		t.Errorf("%s: something arrived from nowhere", how)
	}
	appear()
	start := time.Now()
	await(t, s, how, allArrived)
	took := since(p, start)
	// Seven by the policy, and a rush after each event.
	if n := s.Status().Connection.Attempts; n > 40 {
		t.Errorf("%s: %d attempts to connect", how, n)
	}
	check(t, stop())
	return took
}
