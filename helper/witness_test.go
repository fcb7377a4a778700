package helper

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// TestLateLooksAreOneConnectionEach: a service that failed to take up a rotation
// is not dialled through whole proofs from then on, but once a look; the look
// that finds the new certificate ends the matter.
func TestLateLooksAreOneConnectionEach(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	last := func() snapshot.X509SVID { return snapshot.X509SVID{SVID: api.SVIDs()[0]} }
	before := last()
	api.Rotate()
	after := last()

	var serving atomic.Pointer[x509svid.SVID]
	serving.Store(before.SVID)
	address := serveTLS(t, func() *tls.Certificate { return clientCertificate(snapshot.X509SVID{SVID: serving.Load()}) })

	quiet := slog.New(slog.DiscardHandler)
	w, err := newWitness(&proof.Config{TLS: address, Timeout: 100 * time.Millisecond}, &target{
		name:     "process",
		progress: func() progress { return progress{} },
		journal:  newJournal("", quiet),
	}, nil, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.run(ctx) }()
	defer func() { cancel(); <-ended }()
	until := func(what string, is func(health.Proof) bool) health.Proof {
		t.Helper()
		eventually(t, func() error {
			if st := w.health(); !is(st) {
				return notYet("%s: %+v", what, st)
			}
			return nil
		})
		return w.health()
	}

	w.expect([]snapshot.X509SVID{after}, time.Now())
	failed := until("no failure", func(p health.Proof) bool { return p.Failures == 1 })
	began := time.Now()
	const looks = 2
	for n := range uint64(looks) {
		w.progressed() // has it look at once
		until("no look", func(p health.Proof) bool { return p.Attempts > failed.Attempts+n })
	}
	st := w.health()
	byItself := uint64(time.Since(began)/time.Second) + 1 // it looks once a second at most
	if made := st.Attempts - failed.Attempts; made > looks+byItself {
		t.Errorf("%d connections for %d looks", made, looks)
	}
	if old := proof.Serial(before.Certificates[0]); st.Served != old || st.Proven || st.Problem == "" || st.Failures != 1 {
		t.Errorf("%+v, want %s served", st, old)
	}
	serving.Store(after.SVID)
	w.progressed()
	st = until("not proven", func(p health.Proof) bool { return p.Proven })
	if st.Problem != "" || st.Served != proof.Serial(after.Certificates[0]) {
		t.Errorf("%+v", st)
	}
}

// serveTLS serves, on a port of its own, the certificate of the moment.
func serveTLS(t *testing.T, certificate func() *tls.Certificate) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			io.Copy(io.Discard, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate()}}))
			conn.Close()
		}
	})
	t.Cleanup(func() { ln.Close(); group.Wait() })
	return ln.Addr().String()
}
