package notify

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// TestBundleAloneIsProven: the bundle gets another authority, and the leaf stays. With
// client_ca that is proven once the service names it, and a failure until then.
func TestBundleAloneIsProven(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	svid := snapshot.X509SVID{SVID: api.SVIDs()[0]}
	td := devapi.DefaultID.TrustDomain()
	bundle := func() *x509bundle.Bundle {
		b, err := api.X509Bundles().GetX509BundleForTrustDomain(td)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var trusted atomic.Pointer[x509bundle.Bundle]
	address := serveTLS(t, func() *tls.Config {
		pool := x509.NewCertPool()
		for _, a := range trusted.Load().X509Authorities() {
			pool.AddCert(a)
		}
		return &tls.Config{Certificates: []tls.Certificate{*clientCertificate(svid)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	})
	rotate := func(try *trial, b *x509bundle.Bundle) {
		try.expect(publish.Change{OnDisk: []snapshot.X509SVID{{SVID: svid.SVID, Bundle: b}}, At: time.Now()})
	}
	first := bundle()
	trusted.Store(first)
	leafAlone, trust := &trial{t: t}, &trial{t: t}
	leafAlone.start(proof.Config{TLS: address, Timeout: 100 * time.Millisecond})
	trust.start(proof.Config{TLS: address, Timeout: 100 * time.Millisecond, ClientCA: true})
	rotate(leafAlone, first)
	rotate(trust, first)
	trust.until("the first is not proven", proven, nothing)

	if err := api.AddAuthority(td); err != nil {
		t.Fatal(err)
	}
	second := bundle()
	rotate(leafAlone, second)
	rotate(trust, second)
	leafAlone.until("the leaf is not proven", proven, nothing)
	st := trust.until("no failure", func(p ProofStatus) bool {
		return p.Failures > 0 && strings.Contains(p.Problem, "does not name the X.509 authority")
	}, nothing)
	if st.Proven || st.Served != st.Want {
		t.Errorf("%+v", st)
	}
	trusted.Store(second)
	trust.progressed()
	if st := trust.until("not proven", proven, nothing); st.Problem != "" || len(st.Unseen) > 0 {
		t.Errorf("%+v", st)
	}
}

// TestUnseenAuthorityIsNoFailure: a service that names no authorities cannot show that
// it trusts a new one. That is said, and nobody is signalled or restarted for it.
func TestUnseenAuthorityIsNoFailure(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	td := devapi.DefaultID.TrustDomain()
	if err := api.AddAuthority(td); err != nil {
		t.Fatal(err)
	}
	b, err := api.X509Bundles().GetX509BundleForTrustDomain(td)
	if err != nil {
		t.Fatal(err)
	}
	svid := snapshot.X509SVID{SVID: api.SVIDs()[0], Bundle: b}
	try := &trial{t: t}
	try.start(proof.Config{ClientCA: true, TLS: serveTLS(t, func() *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{*clientCertificate(svid)}, ClientAuth: tls.RequireAnyClientCert}
	})})
	try.expect(publish.Change{OnDisk: []snapshot.X509SVID{svid}, At: time.Now()})
	st := try.until("not proven", proven, nothing)
	var others []string
	for _, a := range b.X509Authorities() {
		if svid.Certificates[len(svid.Certificates)-1].CheckSignatureFrom(a) != nil {
			others = append(others, snapshot.Serial(a.SerialNumber))
		}
	}
	if len(others) != len(b.X509Authorities())-1 || !slices.Equal(st.Unseen, others) || st.Failures > 0 {
		t.Errorf("%+v, want %v not to be seen", st, others)
	}
}

// TestCommandProvesWhatIsNoSVID: a command alone can prove a change of tokens, each
// anew, and gets to know of it.
func TestCommandProvesWhatIsNoSVID(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the command is one for a shell")
	}
	mark := filepath.Join(t.TempDir(), "mark")
	try := &trial{t: t}
	try.start(proof.Config{Timeout: 2 * time.Second, Command: []string{"sh", "-c", `echo "$SVIDHELPER_FILES" >> "$1"; echo "not $SVIDHELPER_FILES"; test "$(tail -n1 "$1")" != /run/tls/bad`, "sh", mark}})
	change := func(number uint64, file string) publish.Change {
		return publish.Change{Number: number, Kinds: snapshot.KindJWT, At: time.Now(), Outputs: []publish.OutputChange{{Dir: "/run/tls", Files: []string{file}}}}
	}
	try.expect(change(1, "good"))
	st := try.until("not proven", proven, nothing)
	if st.Address != "sh" || st.Attempts == 0 {
		t.Errorf("%+v", st)
	}
	try.expect(change(2, "bad"))
	st = try.until("no failure", func(p ProofStatus) bool { return p.Failures > 0 && strings.Contains(p.Problem, "saying") }, nothing)
	if want := fmt.Sprintf("saying %q", "not /run/tls/bad"); st.Proven || !strings.Contains(st.Problem, want) {
		t.Errorf("%+v, want %s", st, want)
	}
	try.expect(change(3, "good"))
	try.until("not proven again", proven, nothing)
}

// TestProofNotice: the command of a proof gets the X.509-SVIDs on disk, whatever has
// changed, each once.
func TestProofNotice(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	svid := snapshot.X509SVID{SVID: api.SVIDs()[0]}
	n := proofNotice(publish.Change{
		Kinds: snapshot.KindBundle, OnDisk: []snapshot.X509SVID{svid, svid},
		Outputs: []publish.OutputChange{{Dir: "/run/tls", Kinds: snapshot.KindBundle, Files: []string{"ca.crt"}}},
	})
	want := []string{"SVIDHELPER_SPIFFE_ID=" + svid.ID.String(), "SVIDHELPER_SERIAL=" + snapshot.Serial(svid.Certificates[0].SerialNumber)}
	if !slices.Equal(n.Env, want) {
		t.Errorf("%q, want %q", n.Env, want)
	}
	if got := fmt.Sprint(n.Lists); got != "[{SVIDHELPER_OUTPUT [/run/tls]} {SVIDHELPER_KINDS [bundle]} {SVIDHELPER_FILES [/run/tls/ca.crt]}]" {
		t.Error(got)
	}
}

// TestWaitingLeafShowsTrust: while a leaf waits for its authority, the proof shows it
// to the service, which names no authorities: that it takes the leaf is what tells.
func TestWaitingLeafShowsTrust(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	td := devapi.DefaultID.TrustDomain()
	old := snapshot.X509SVID{SVID: api.SVIDs()[0]}
	if err := api.AddAuthority(td); err != nil {
		t.Fatal(err)
	}
	b, err := api.X509Bundles().GetX509BundleForTrustDomain(td)
	if err != nil {
		t.Fatal(err)
	}
	old.Bundle = b
	waiting := snapshot.X509SVID{SVID: api.Rotate()[0], Bundle: b}
	var trusts atomic.Pointer[x509.Certificate]
	trusts.Store(b.X509Authorities()[0])
	if waiting.Certificates[0].CheckSignatureFrom(trusts.Load()) == nil {
		trusts.Store(b.X509Authorities()[1])
	}
	try := &trial{t: t}
	try.start(proof.Config{ClientCA: true, Timeout: 100 * time.Millisecond, TLS: serveTLS(t, func() *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{*clientCertificate(old)}, ClientAuth: tls.RequireAnyClientCert,
			VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
				c, err := x509.ParseCertificate(raw[0])
				if err == nil {
					err = c.CheckSignatureFrom(trusts.Load())
				}
				return err
			},
		}
	})})
	try.expect(publish.Change{OnDisk: []snapshot.X509SVID{old}, Waiting: []snapshot.X509SVID{waiting}, At: time.Now()})
	try.until("no failure", func(p ProofStatus) bool { return strings.Contains(p.Problem, "refuses our client certificate") }, nothing)
	for _, a := range b.X509Authorities() {
		if waiting.Certificates[0].CheckSignatureFrom(a) == nil {
			trusts.Store(a)
		}
	}
	try.progressed()
	if st := try.until("not proven", proven, nothing); st.Problem != "" {
		t.Errorf("%+v", st)
	}
}
