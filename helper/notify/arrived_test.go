package notify

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/testbed"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// TestArrived: a change has arrived at a target that was told of it, and not before
// its proof has succeeded.
func TestArrived(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	var serving atomic.Pointer[x509svid.SVID]
	serving.Store(api.SVIDs()[0])
	address := serveTLS(t, func() *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{*clientCertificate(snapshot.X509SVID{SVID: serving.Load()})}}
	})
	arrived := make(chan uint64, 16)
	quiet := slog.New(slog.DiscardHandler)
	self, err := os.Executable() // a command that does nothing, on every system
	if err != nil {
		t.Fatal(err)
	}
	start := func(p *proof.Config) *Hook {
		t.Helper()
		h, err := NewHook(&config.Hook{Spec: hook.Spec{Name: "web", Command: []string{self, "-test.run=^$"}}, Target: config.Target{On: snapshot.KindX509, Proof: p}},
			func(string, uint64) {}, func(_ string, n uint64) { arrived <- n }, events.New("", quiet), quiet)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx) }()
		t.Cleanup(func() { stop(); <-ended })
		return h
	}
	await := func(want uint64) {
		t.Helper()
		for {
			select {
			case n := <-arrived:
				if n == want {
					return
				}
			case <-time.After(testbed.Patience):
				t.Fatalf("change %d has not arrived", want)
			}
		}
	}
	change := func(n uint64) publish.Change {
		return publish.Change{Number: n, At: time.Now(), Kinds: snapshot.KindX509, OnDisk: []snapshot.X509SVID{{SVID: api.SVIDs()[0]}}}
	}

	start(nil).Tell(change(1))
	await(1)

	h := start(&proof.Config{TLS: address, Timeout: 50 * time.Millisecond})
	h.Tell(change(2))
	await(2)
	api.Rotate()
	h.Tell(change(3))
	testbed.Eventually(t, func() error {
		if st := h.Status(); h.Proof().Failures == 0 || st.Delivered != st.Asked {
			return testbed.NotYet("%+v, %+v", h.Proof(), st)
		}
		return nil
	})
	for len(arrived) > 0 {
		if n := <-arrived; n == 3 {
			t.Error("what was not proven has arrived")
		}
	}
	serving.Store(api.SVIDs()[0])
	await(3)
}
