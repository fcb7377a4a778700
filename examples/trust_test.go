//go:build linux

package examples_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// apart is how much later than the first the second service hears of what is new.
const apart = 2 * time.Second

// TestAuthorityChangeBetweenPeers: two services trust each other, each kept by its
// own svidhelper. The authority of both is replaced, and the second hears of it
// seconds after the first. They refuse each other meanwhile; with bundle_first and
// bundle_linger, not once.
func TestAuthorityChangeBetweenPeers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, keys string
		fails      bool
	}{
		{"at once", "", true},
		{"in two steps", "bundle_first = true\n  bundle_lead = \"10s\"\n  bundle_linger = \"1m\"", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked, failed := changeAuthority(t, c.keys)
			t.Logf("%s: %d handshakes, %d failed", c.name, asked, failed)
			if c.fails != (failed > 0) {
				t.Errorf("%d of %d handshakes failed", failed, asked)
			}
		})
	}
}

// changeAuthority returns how many handshakes the two services have made, and how
// many of them have failed.
func changeAuthority(t *testing.T, keys string) (asked, failed int) {
	api := startAPI(t, devapi.Config{Identities: []devapi.Identity{identity("a", "localhost"), identity("b", "localhost")}})
	agent := startLateAgent(t, strings.TrimPrefix(api.Addr(), "unix://"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{freeAddress(t), freeAddress(t)}
	var peers []*service
	for i, name := range []string{"a", "b"} {
		p := newService(t, "peer")
		p.api = api
		conf := adaptText(t, fmt.Sprintf(`
agent_address = %q

output %q {
  %s
  x509_svid {
    spiffe_id = "spiffe://example.org/%s"
  }
}

process {
  command     = [%q, %q, %q, %q, %q]
  env         = { GORACE = "atexit_sleep_ms=0" }
  on_rotation = "SIGHUP"

  proof {
    tls       = %q
    client_ca = true
  }
}
`, []string{api.Addr(), "unix://" + agent.address}[i], p.tls, keys, name, self, peerService, addresses[i], p.tls, addresses[1-i], addresses[i]), p.dir, "helper.conf")
		p.launch(conf)
		peers = append(peers, p)
	}
	serial := func(i int) string { return snapshot.Serial(api.SVIDs()[i].Certificates[0].SerialNumber) }
	show := func() { // each is shown what the other has
		t.Helper()
		peers[0].helper.said("peer is shown", serial(1))
		peers[1].helper.said("peer is shown", serial(0))
	}
	show()

	td := devapi.DefaultID.TrustDomain()
	agent.hold()
	if err := api.AddAuthority(td); err != nil {
		t.Fatal(err)
	}
	api.Rotate()
	if err := api.RetireAuthorities(td); err != nil {
		t.Fatal(err)
	}
	time.Sleep(apart) // what is tested is that this span costs nothing
	agent.release()
	show()
	for _, p := range peers {
		if err := p.helper.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range peers {
		p.helper.said("peer asked")
		said := regexp.MustCompile(`peer asked (\d+) times, failed (\d+) times, first: (.*)`).FindStringSubmatch(p.helper.out.String())
		if said == nil {
			t.Fatalf("the peer does not say how it went: %s", p.helper.out)
		}
		t.Log(said[0])
		a, _ := strconv.Atoi(said[1])
		f, _ := strconv.Atoi(said[2])
		asked, failed = asked+a, failed+f
	}
	return asked, failed
}

// A lateAgent passes on what a Workload API says, and holds it back at the test's
// wish.
type lateAgent struct {
	address string
	gate    sync.RWMutex
}

func (a *lateAgent) hold()    { a.gate.Lock() }
func (a *lateAgent) release() { a.gate.Unlock() }

func startLateAgent(t *testing.T, socket string) *lateAgent {
	t.Helper()
	a := &lateAgent{address: filepath.Join(filepath.Dir(socket), "late.sock")}
	listener, err := net.Listen("unix", a.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, gated{server, a}); client.Close() }()
		}
	}()
	return a
}

// gated is a reader that waits for the gate.
type gated struct {
	io.Reader
	*lateAgent
}

func (g gated) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	g.gate.RLock()
	defer g.gate.RUnlock()
	return n, err
}
