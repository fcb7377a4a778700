package source

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// everything needs all profiles, and tokens for the given audiences.
func everything(audiences ...string) Needs {
	n := Needs{X509: true, X509Bundles: true, JWTBundles: true, WIT: true, WITBundles: true}
	for _, a := range audiences {
		n.JWTSVIDs = append(n.JWTSVIDs, jwtRequest("", a))
	}
	return n
}

func newTestSource(t *testing.T, cfg Config) *Source {
	t.Helper()
	s, err := New(cfg, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func allArrived(_ *snapshot.Snapshot, st *Status) bool { return len(st.Awaited()) == 0 }

func TestEveryProfileArrives(t *testing.T) {
	for name, address := range map[string]string{"Unix socket": "", "TCP": "tcp://127.0.0.1:0"} {
		t.Run(name, func(t *testing.T) {
			api, _ := devapitest.New(t, devapi.Config{CRL: true, Federated: []spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("other.test")}})
			if address == "" {
				address = "unix://" + devapitest.Socket(t)
			}
			check(t, api.Start(address))
			s := newTestSource(t, Config{Address: api.Addr(), Needs: everything("a", "b")})
			if n := len(s.Status().Awaited()); n != 7 {
				t.Errorf("%d profiles are awaited before the start, want 7", n)
			}
			stop := run(t, s)
			await(t, s, "everything", allArrived)
			snap := s.Status().Snapshot
			if snap.X509 == nil || snap.X509Bundles == nil || len(snap.JWTSVIDs) != 2 || snap.JWTBundles == nil || snap.WIT == nil || snap.WITBundles == nil {
				t.Fatalf("snapshot lacks a part: %+v", snap)
			}
			if len(snap.X509.Federated) != 1 || len(snap.X509.CRLs) == 0 {
				t.Errorf("federated bundles: %d, CRLs: %d, want both", len(snap.X509.Federated), len(snap.X509.CRLs))
			}
			check(t, stop())
		})
	}
}

// Whatever is wrong with an answer: what was there stays, it is counted by its
// reason, and the next good answer counts.
func TestNothingBadReplacesWhatIsGood(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	var log bytes.Buffer
	s, err := New(Config{Address: api.Addr(), Needs: everything()}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	await(t, s, "everything", allArrived)

	refused := func(profile Profile) (n uint64) {
		for _, p := range s.Status().Profiles {
			if p.Profile == profile {
				for _, k := range p.Rejected {
					n += k
				}
			}
		}
		return n
	}
	spoil := func(profile Profile, name string, corrupt func()) {
		t.Helper()
		before, count := s.Status().Snapshot, refused(profile)
		corrupt()
		api.Push()
		await(t, s, name, func(*snapshot.Snapshot, *Status) bool { return refused(profile) > count })
		if !sameMaterial(s.Status().Snapshot, before) {
			t.Errorf("%s: the material changed", name)
		}
		for _, p := range s.Status().Profiles {
			if p.Profile == profile && (p.State != StateRejected || p.Reason == "" || p.LastError == nil) {
				t.Errorf("%s: state %s, reason %q, error %v", name, p.State, p.Reason, p.LastError)
			}
		}
		faults.Heal()
		api.Push()
		await(t, s, "the recovery from "+name, func(_ *snapshot.Snapshot, st *Status) bool {
			for _, p := range st.Profiles {
				if p.State != StateStreaming {
					return false
				}
			}
			return true
		})
		if !sameMaterial(s.Status().Snapshot, before) {
			t.Errorf("%s: the material is another one after the recovery", name)
		}
	}
	for _, bad := range must(api.BadX509SVIDs()) {
		spoil(ProfileX509SVID, bad.Name, func() { devapi.Mutate(faults, bad.Edit) })
	}
	for _, bad := range must(api.BadWITSVIDs()) {
		spoil(ProfileWITSVID, bad.Name, func() { devapi.Mutate(faults, bad.Edit) })
	}
	spoil(ProfileX509SVID, "hint of 1025 bytes", func() {
		devapi.Mutate(faults, func(r *workload.X509SVIDResponse) { r.Svids[0].Hint = strings.Repeat("h", 1025) })
	})
	spoil(ProfileX509Bundle, "no X.509 bundles", func() {
		devapi.Mutate(faults, func(r *workload.X509BundlesResponse) { r.Bundles = nil })
	})
	spoil(ProfileJWTBundle, "garbage JWT bundle", func() {
		devapi.Mutate(faults, func(r *workload.JWTBundlesResponse) { r.Bundles["spiffe://x.test"] = []byte("garbage") })
	})
	spoil(ProfileWITBundle, "garbage WIT bundle", func() {
		devapi.Mutate(faults, func(r *workload.WITBundlesResponse) { r.Bundles["spiffe://x.test"] = "garbage" })
	})
	check(t, stop())
	for _, reason := range []Reason{ReasonNoSVIDs, ReasonGarbage, ReasonKeyMismatch, ReasonExpired, ReasonChain, ReasonHint, ReasonNoBundle} {
		if !strings.Contains(log.String(), "reason="+string(reason)) {
			t.Errorf("the log does not give the reason %q", reason)
		}
	}
	if strings.Contains(log.String(), `"d":`) || strings.Contains(log.String(), "eyJ") {
		t.Error("the log quotes a key or a token")
	}
}

// sameMaterial reports whether two snapshots hold the same, stale or not, and
// nothing of it was parsed again.
func sameMaterial(a, b *snapshot.Snapshot) bool {
	return slices.EqualFunc(a.X509.SVIDs, b.X509.SVIDs, func(a, b snapshot.X509SVID) bool {
		return a.SVID == b.SVID && a.Bundle == b.Bundle
	}) && slices.EqualFunc(a.WIT.SVIDs, b.WIT.SVIDs, func(a, b *snapshot.WITSVID) bool {
		return a.ID == b.ID && a.Hint == b.Hint && a.Token == b.Token && a.PrivateKey == b.PrivateKey
	}) && a.X509Bundles == b.X509Bundles && a.JWTBundles == b.JWTBundles && a.WITBundles == b.WITBundles
}

// Tokens are refused alike, and fetched again.
func TestNoBadTokenReplacesAGoodOne(t *testing.T) {
	t.Parallel()
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true, JWTTTL: 4 * time.Second})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: Needs{JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "a")}}})
	stop := run(t, s)
	await(t, s, "the token", allArrived)
	bad := must(api.BadJWTSVIDs("a"))
	turn := 0
	devapi.Mutate(faults, func(r *workload.JWTSVIDResponse) { bad[turn%len(bad)].Edit(r); turn++ })
	refusals := func(at uint64) {
		t.Helper()
		await(t, s, fmt.Sprint(at, " refusals"), func(_ *snapshot.Snapshot, st *Status) bool {
			var n uint64
			for _, k := range st.Profiles[0].Rejected {
				n += k
			}
			return n >= at
		})
	}
	refusals(1) // no good one is on its way any more
	before := s.Status().Snapshot
	if before.JWTSVIDs[jwtRequest("", "a")] == nil {
		t.Error("the token is gone")
	}
	refusals(3)
	if s.Status().Snapshot != before {
		t.Error("the snapshot changed")
	}
	faults.Heal()
	await(t, s, "a new token", func(snap *snapshot.Snapshot, st *Status) bool {
		return snap != before && st.Profiles[0].State == StateStreaming
	})
	check(t, stop())
}

// A bundle of more than 4 MB, grpc's default limit for a message.
func TestLargeBundle(t *testing.T) {
	t.Parallel()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	var large []byte
	for i := 0; len(large) < 4<<20+1; i++ {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i)), Subject: pkix.Name{CommonName: fmt.Sprint(i, strings.Repeat("x", 8000))},
			NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		}
		large = append(large, must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))...)
	}
	api, faults := devapitest.Start(t, devapi.Config{})
	devapi.Mutate(faults, func(r *workload.X509SVIDResponse) {
		r.FederatedBundles = map[string][]byte{"spiffe://large.test": large}
	})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: Needs{X509: true}})
	stop := run(t, s)
	start := time.Now()
	await(t, s, "the bundle", allArrived)
	n := 0
	for _, c := range s.Status().Snapshot.X509.Federated[0].X509Authorities() {
		n += len(c.Raw)
	}
	if n != len(large) {
		t.Errorf("%d bytes of bundle arrived, want %d", n, len(large))
	}
	t.Logf("%d bytes in %v", n, time.Since(start))
	check(t, stop())
}

// A federated trust domain comes and goes.
func TestFederatedBundleDisappears(t *testing.T) {
	b, c := spiffeid.RequireTrustDomainFromString("b.test"), spiffeid.RequireTrustDomainFromString("c.test")
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, Federated: []spiffeid.TrustDomain{b, c}})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: Needs{X509: true, X509Bundles: true, JWTBundles: true}})
	stop := run(t, s)
	await(t, s, "everything", allArrived)
	before := s.Status().Snapshot
	check(t, api.SetFederated(c))
	await(t, s, "the end of b.test", func(snap *snapshot.Snapshot, _ *Status) bool {
		return len(snap.X509.Federated) == 1 && len(snap.X509Bundles.Bundles) == 2 && len(snap.JWTBundles.Bundles) == 2
	})
	after := s.Status().Snapshot
	if after.X509.Federated[0] != before.X509.Federated[1] || after.X509.SVIDs[0] != before.X509.SVIDs[0] {
		t.Error("what did not change is not the same")
	}
	check(t, stop())
}

// A configuration that is reloaded does not disturb what stays in it.
func TestReconfigureLeavesTheRestAlone(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: Needs{
		X509: true, JWTBundles: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "stays"), jwtRequest("", "goes")},
	}})
	stop := run(t, s)
	await(t, s, "everything", allArrived)
	before := s.Status().Snapshot

	s.Reconfigure(Needs{
		X509: true, X509Bundles: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "stays"), jwtRequest("", "comes")},
	})
	await(t, s, "the new needs", func(snap *snapshot.Snapshot, st *Status) bool {
		return allArrived(snap, st) && len(st.Profiles) == 4
	})
	after := s.Status().Snapshot
	switch {
	case after.X509 != before.X509 || after.JWTSVIDs[jwtRequest("", "stays")] != before.JWTSVIDs[jwtRequest("", "stays")]:
		t.Error("what stays was fetched again")
	case after.JWTBundles != nil || after.JWTSVIDs[jwtRequest("", "goes")] != nil:
		t.Error("what goes is still there")
	case after.X509Bundles == nil || after.JWTSVIDs[jwtRequest("", "comes")] == nil:
		t.Error("what comes is not there")
	}
	counts := faults.Counts()
	if n := counts.Attempts[devapi.FetchX509SVID]; n != 1 {
		t.Errorf("%d streams of X.509-SVIDs, want 1", n)
	}
	if n := counts.Attempts[devapi.FetchJWTSVID]; n != 3 {
		t.Errorf("%d fetches of JWT-SVIDs, want 3", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := faults.Wait(ctx, func(c devapi.Counts) bool { return c.Open[devapi.FetchJWTBundles] == 0 }); err != nil {
		t.Error("the stream that is not needed is still open")
	}
	check(t, stop())
}

// An invalid request that comes with a new configuration ends nothing.
func TestReconfigureToSomethingInvalidIsNotFatal(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: Needs{X509: true}})
	stop := run(t, s)
	await(t, s, "the SVID", allArrived)
	faults.Fail(3, devapi.FetchJWTSVID) // InvalidArgument
	s.Reconfigure(Needs{X509: true, JWTSVIDs: []snapshot.JWTRequest{jwtRequest("", "x")}})
	await(t, s, "the refusal", func(_ *snapshot.Snapshot, st *Status) bool {
		return len(st.Profiles) == 2 && st.Profiles[1].State == StateFailed
	})
	faults.Heal()
	await(t, s, "the token", allArrived)
	check(t, stop())
}

// While all is well, nothing happens.
func TestIdleSourceDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		f.x509.say(x509Answer(issueX509For(t, newAuthority(t, "example.org"), 48*time.Hour)))
		s := newFakeSource(t, f, Needs{X509: true}, logger(t))
		stop := run(t, s)
		await(t, s, "the SVID", allArrived)
		for range 2 { // what the arrival has left, if anything
			synctest.Wait()
			select {
			case <-s.Updates():
			default:
			}
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if f.dialed() != 1 || f.x509.opened() != 1 {
			t.Errorf("%d connections, %d streams in a day, want one of each", f.dialed(), f.x509.opened())
		}
		select {
		case <-s.Updates():
			t.Error("news in a day without any")
		default:
		}
		check(t, stop())
	})
}

// Several identities, some with hints, go through in their order.
func TestSeveralIdentities(t *testing.T) {
	id := func(path, hint string) devapi.Identity {
		return devapi.Identity{ID: spiffeid.RequireFromPath(testTD, path), Hint: hint}
	}
	api, _ := devapitest.Start(t, devapi.Config{Identities: []devapi.Identity{id("/one", "internal"), id("/two", ""), id("/three", "external")}})
	two := snapshot.NewJWTRequest([]string{"a"}, spiffeid.RequireFromPath(testTD, "/two"), "")
	s := newTestSource(t, Config{Address: api.Addr(), Needs: Needs{X509: true, WIT: true, JWTSVIDs: []snapshot.JWTRequest{
		jwtRequest("", "a"), jwtRequest("external", "a"), two,
	}}})
	stop := run(t, s)
	await(t, s, "everything", allArrived)
	snap := s.Status().Snapshot
	for i, want := range []string{"/one", "/two", "/three"} {
		if got := snap.X509.SVIDs[i].ID.Path(); got != want {
			t.Errorf("X.509-SVID %d is of %s, want %s", i, got, want)
		}
		if got := snap.WIT.SVIDs[i].ID.Path(); got != want {
			t.Errorf("WIT-SVID %d is of %s, want %s", i, got, want)
		}
	}
	for r, want := range map[snapshot.JWTRequest]string{jwtRequest("", "a"): "/one", jwtRequest("external", "a"): "/three", two: "/two"} {
		if got := snap.JWTSVIDs[r].ID.Path(); got != want {
			t.Errorf("JWT-SVID for %s with hint %q is of %s, want %s", r, r.Hint, got, want)
		}
	}
	check(t, stop())
}
