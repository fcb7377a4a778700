package notify

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// A trial is a proof runner at work, and the service that it looks at.
type trial struct {
	*proofRunner
	t       *testing.T
	svids   []snapshot.X509SVID // of one rotation each
	serving atomic.Pointer[x509svid.SVID]
	seen    atomic.Uint64 // connections
}

// startTrial has the service serve the first of n rotations.
func startTrial(t *testing.T, n int) *trial {
	t.Helper()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	try := &trial{t: t}
	for range n {
		try.svids = append(try.svids, snapshot.X509SVID{SVID: api.SVIDs()[0]})
		api.Rotate()
	}
	try.serve(0)
	try.start(proof.Config{Timeout: 100 * time.Millisecond, TLS: serveTLS(t, func() *tls.Config {
		try.seen.Add(1)
		return &tls.Config{Certificates: []tls.Certificate{*clientCertificate(snapshot.X509SVID{SVID: try.serving.Load()})}}
	})})
	return try
}

// start has a proof looked for.
func (try *trial) start(cfg proof.Config) {
	t := try.t
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	var err error
	try.proofRunner, err = newProofRunner(&cfg, &target{
		name:   "process",
		line:   idle{},
		events: events.New("", quiet),
	}, nil, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); try.run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// idle is a target that has been told of everything.
type idle struct{}

func (idle) updates() <-chan struct{} { return nil }
func (idle) progress() progress       { return progress{} }
func (idle) heard()                   {}

func (try *trial) serve(i int) { try.serving.Store(try.svids[i].SVID) }

func (try *trial) rotate(i int) {
	try.expect(publish.Change{OnDisk: []snapshot.X509SVID{try.svids[i]}, At: time.Now()})
}

func (try *trial) serial(i int) string {
	return snapshot.Serial(try.svids[i].Certificates[0].SerialNumber)
}

// until waits for a status, and does something each time that it looks.
func (try *trial) until(what string, is func(ProofStatus) bool, meanwhile func()) ProofStatus {
	try.t.Helper()
	testbed.Eventually(try.t, func() error {
		if st := *try.current(); !is(st) {
			meanwhile()
			return testbed.NotYet("%s: %+v", what, st)
		}
		return nil
	})
	return *try.current()
}

// failedSeen holds for a proof that has failed, with what is served seen: on a
// slow machine not even that comes within the first proof's time.
func failedSeen(p ProofStatus) bool { return p.Failures > 0 && p.Served != "" }
func proven(p ProofStatus) bool     { return p.Proven }
func nothing()                      {}

// TestLateLooksAreOneConnectionEach: a service that failed to take up a rotation
// is not dialled through whole proofs from then on, but once a look; the look
// that finds the new certificate ends the matter.
func TestLateLooksAreOneConnectionEach(t *testing.T) {
	t.Parallel()
	try := startTrial(t, 2)
	began := time.Now()
	try.rotate(1)
	failed := try.until("no failure", failedSeen, nothing)
	const looks = 2
	for n := range uint64(looks) {
		try.progressed() // has it look at once
		try.until("no look", func(p ProofStatus) bool { return p.Attempts > failed.Attempts+n }, nothing)
	}
	st := *try.current()
	byItself := uint64(time.Since(began)/time.Second) + 1 // it looks once a second at most
	if made := st.Attempts - failed.Attempts; made > looks+byItself {
		t.Errorf("%d connections for %d looks", made, looks)
	}
	if st.Served != try.serial(0) || st.Proven || st.Problem == "" || st.Failures != 1 {
		t.Errorf("%+v, want %s served", st, try.serial(0))
	}
	try.serve(1)
	try.progressed()
	if st = try.until("not proven", proven, nothing); st.Problem != "" || st.Served != try.serial(1) {
		t.Errorf("%+v", st)
	}
}

// TestBundlesDoNotPutOffAFailure: other material changes faster than a proof
// lasts. That the service does not serve the SVID is found out all the same.
func TestBundlesDoNotPutOffAFailure(t *testing.T) {
	t.Parallel()
	try := startTrial(t, 2)
	st := try.until("no failure", failedSeen, func() { try.rotate(1) })
	if st.Served != try.serial(0) || st.Want != try.serial(1) || st.Problem == "" {
		t.Errorf("%+v", st)
	}
}

// TestRotationsFasterThanAProof: each takes the place of the one before, and none
// is ever served. That is a failure, until one is.
func TestRotationsFasterThanAProof(t *testing.T) {
	t.Parallel()
	try := startTrial(t, 3)
	next, seen, rotations := 1, try.seen.Load(), 1
	try.rotate(next)
	st := try.until("no failure", func(p ProofStatus) bool {
		return p.Failures > 0 && strings.Contains(p.Problem, "serial "+try.serial(0))
	}, func() {
		if try.seen.Load() < seen+2 {
			return // it has not shown its certificate to this proof
		}
		if rotations++; rotations > 200 {
			t.Fatal("no failure after 200 rotations")
		}
		next, seen = 3-next, try.seen.Load()
		try.rotate(next)
	})
	if st.Served != try.serial(0) {
		t.Errorf("%+v", st)
	}
	try.serve(1)
	try.rotate(1)
	if st := try.until("not proven", proven, nothing); st.Problem != "" {
		t.Errorf("%+v", st)
	}
}

// serveTLS serves, on a port of its own, with the configuration of the moment.
func serveTLS(t *testing.T, now func() *tls.Config) (address string) {
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
			io.Copy(io.Discard, tls.Server(conn, now()))
			conn.Close()
		}
	})
	t.Cleanup(func() { ln.Close(); group.Wait() })
	return ln.Addr().String()
}

// TestOneIdentityInTwoOutputs: what is wanted is one serial number, said once.
func TestOneIdentityInTwoOutputs(t *testing.T) {
	t.Parallel()
	try := startTrial(t, 2)
	svid := try.svids[1]
	try.expect(publish.Change{OnDisk: []snapshot.X509SVID{svid, svid}, At: time.Now()})
	st := try.until("no failure", failedSeen, nothing)
	if st.Want != try.serial(1) || strings.Contains(st.Problem, " or ") {
		t.Errorf("%+v", st)
	}
}

// TestTroublePauses: what is in trouble for seconds is tried again within a second,
// and what is so for days is left in peace.
func TestTroublePauses(t *testing.T) {
	for lasted, want := range map[time.Duration]time.Duration{
		0: 700 * time.Millisecond, 10 * time.Second: 700 * time.Millisecond, 10 * time.Minute: 10 * time.Second, 24 * time.Hour: 10 * time.Minute,
	} {
		if got := latePause(lasted); got != want {
			t.Errorf("after %v the pause is %v, want %v", lasted, got, want)
		}
	}
}
