//go:build unix

package devapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// watch opens a stream of X.509-SVIDs and takes its first message.
func watch(t *testing.T, ctx context.Context, c workload.SpiffeWorkloadAPIClient) (recv func() (*workload.X509SVIDResponse, error)) {
	t.Helper()
	stream, err := c.FetchX509SVID(withHeader(ctx), &workload.X509SVIDRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return stream.Recv
}

func allCodes() []codes.Code {
	var all []codes.Code
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		all = append(all, c)
	}
	return all
}

func TestFailEndsOpenStreamsAndAnswersNewCalls(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	client := stub(t, s)
	for _, code := range allCodes() {
		ctx := deadline(t)
		recv := watch(t, ctx, client)
		f.Fail(code)
		if _, err := recv(); status.Code(err) != code {
			t.Errorf("%s: the open stream ended with %v", code, err)
		}
		for rpc, call := range calls(client) {
			if err := call(withHeader(ctx)); status.Code(err) != code {
				t.Errorf("%s: %s answered %v", code, rpc, err)
			}
		}
		f.Heal()
		if err := calls(client)[devapi.FetchX509SVID](withHeader(ctx)); err != nil {
			t.Errorf("%s: after healing: %v", code, err)
		}
	}
}

func TestFailOneRPC(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	client, ctx := stub(t, s), withHeader(deadline(t))
	f.Deny(devapi.FetchJWTSVID)
	if err := calls(client)[devapi.FetchJWTSVID](ctx); status.Code(err) != codes.PermissionDenied {
		t.Errorf("the denied RPC answered %v", err)
	}
	if err := calls(client)[devapi.FetchX509SVID](ctx); err != nil {
		t.Errorf("the other RPC answered %v", err)
	}
}

func TestBreakIsOnce(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	client, ctx := stub(t, s), deadline(t)
	for _, code := range append(allCodes(), codes.OK) {
		recv := watch(t, ctx, client)
		f.Break(code)
		_, err := recv()
		if code == codes.OK && !errors.Is(err, io.EOF) || code != codes.OK && status.Code(err) != code {
			t.Errorf("%s: ended with %v", code, err)
		}
	}
	watch(t, ctx, client)
}

func TestHangAnswersNothingUntilHealed(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{ManualRotation: true})
	client, ctx := stub(t, s), deadline(t)
	recv := watch(t, ctx, client)
	if err := f.WaitSent(ctx, devapi.FetchX509SVID, 1); err != nil { // a client can be quicker than the count
		t.Fatal(err)
	}
	f.Hang()
	answered := make(chan error, 1)
	go func() { answered <- calls(client)[devapi.FetchJWTSVID](withHeader(ctx)) }()
	if err := f.WaitAttempts(ctx, devapi.FetchJWTSVID, 1); err != nil {
		t.Fatal(err)
	}
	s.Rotate()
	newest := s.Rotate()[0]
	if c := f.Counts(); c.Sent[devapi.FetchJWTSVID] != 0 || c.Sent[devapi.FetchX509SVID] != 1 || c.Open[devapi.FetchJWTSVID] != 1 {
		t.Errorf("while hanging: %+v", c)
	}
	f.Heal()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	for {
		resp, err := recv()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(resp.Svids[0].X509Svid, newest.Certificates[0].Raw) {
			return
		}
	}
}

func TestFreezeStopsConnectionsWithoutClosingThem(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	old, ctx := stub(t, s), deadline(t)
	recv := watch(t, ctx, old)
	f.Freeze()
	for name, client := range map[string]workload.SpiffeWorkloadAPIClient{"old": old, "new": stub(t, s)} {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		if err := calls(client)[devapi.FetchX509SVID](withHeader(short)); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%s connection: %v", name, err)
		}
		cancel()
	}
	if err := f.Wait(ctx, func(c devapi.Counts) bool { return c.OpenConnections == 2 }); err != nil {
		t.Error(err)
	}
	want := s.Rotate()[0].Certificates[0].Raw
	f.Heal()
	if resp, err := recv(); err != nil || !bytes.HasPrefix(resp.Svids[0].X509Svid, want) {
		t.Errorf("after thawing: %v", err)
	}
	f.Freeze()
	if err := s.Close(); err != nil { // does not wait for a thaw
		t.Error(err)
	}
}

func TestEndAfterEachMessage(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	client, ctx := stub(t, s), deadline(t)
	f.EndAfterEachMessage()
	for range 3 {
		if _, err := watch(t, ctx, client)(); !errors.Is(err, io.EOF) {
			t.Errorf("the stream ended with %v", err)
		}
	}
	if c := f.Counts(); c.Attempts[devapi.FetchX509SVID] != 3 || c.Sent[devapi.FetchX509SVID] != 3 {
		t.Errorf("%+v", c)
	}
}

func TestRefuseOneAudience(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	client, ctx := stub(t, s), withHeader(deadline(t))
	f.Refuse(func(_ devapi.RPC, req proto.Message) error {
		if r, ok := req.(*workload.JWTSVIDRequest); ok && slices.Contains(r.Audience, "vault") {
			return status.Error(codes.PermissionDenied, "not for you")
		}
		return nil
	})
	for audience, want := range map[string]codes.Code{"vault": codes.PermissionDenied, "a": codes.OK} {
		_, err := client.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{audience}})
		if status.Code(err) != want {
			t.Errorf("%s: %v", audience, err)
		}
	}
	f.Refuse(func(devapi.RPC, proto.Message) error { return status.Error(codes.NotFound, "no") })
	for rpc, call := range calls(client) {
		if err := call(ctx); status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", rpc, err)
		}
	}
}

func TestMutateEditsACopy(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{ManualRotation: true})
	client, ctx := stub(t, s), deadline(t)
	recv := watch(t, ctx, client)
	devapi.Mutate(f, func(r *workload.X509SVIDResponse) { r.Svids[0].Hint = strings.Repeat("h", 1025) })
	s.Push()
	if resp, err := recv(); err != nil || len(resp.Svids[0].Hint) != 1025 {
		t.Fatalf("not edited: %v", err)
	}
	devapi.Mutate[*workload.X509SVIDResponse](f, nil)
	s.Push()
	if resp, err := recv(); err != nil || resp.Svids[0].Hint != "" {
		t.Fatalf("the edit outlived its message: %v", err)
	}
}

// A bundle beyond gRPC's default limit leaves the server; whether it arrives is
// the client's affair.
func TestLargeBundle(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	client, ctx := stub(t, s), deadline(t)
	devapi.Mutate(f, func(r *workload.X509SVIDResponse) {
		for ca := r.Svids[0].Bundle; len(r.Svids[0].Bundle) < 5<<20; {
			r.Svids[0].Bundle = append(r.Svids[0].Bundle, ca...)
		}
	})
	stream, err := client.FetchX509SVID(withHeader(ctx), &workload.X509SVIDRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := stream.Recv(); err != nil || len(resp.Svids[0].Bundle) < 5<<20 {
		t.Fatal(err)
	}
}

func TestDownAndUp(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{ManualRotation: true})
	path := strings.TrimPrefix(s.Addr(), "unix://")
	ctx := deadline(t)
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(
		workloadapi.WithAddr(s.Addr()), workloadapi.WithBackoffStrategy(eager{}),
		workloadapi.WithDialOptions(grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}}))))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	recv := watch(t, ctx, stub(t, s))

	for name, down := range map[string]func(){"down": s.Down, "crash": s.Crash} {
		// The inode must not be free for reuse while its number is compared.
		link := path + "-" + name
		if err := os.Link(path, link); err != nil {
			t.Fatal(err)
		}
		down()
		down() // twice is as good as once
		if _, err := recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: the stream ended with %v", name, err)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) != (name == "down") {
			t.Errorf("%s: the socket: %v", name, err)
		}
		updated := source.Updated()
		want := serial(s.Rotate()[0])
		if err := s.Up(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-updated:
		case <-ctx.Done():
			t.Fatalf("%s: no update", name)
		}
		if svid, err := source.GetX509SVID(); err != nil || serial(svid) != want {
			t.Errorf("%s: not the newest: %v", name, err)
		}
		after, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if os.SameFile(before, after) {
			t.Errorf("%s: the same inode as before", name)
		}
		before = after
		recv = watch(t, ctx, stub(t, s))
	}
	if n := len(f.Connections()); n < 6 {
		t.Errorf("%d connections counted, there were at least 6", n)
	}
}

// eager retries at once, nearly.
type eager struct{}

func (eager) NewBackoff() workloadapi.Backoff { return eager{} }
func (eager) Next() time.Duration             { return time.Millisecond }
func (eager) Reset()                          {}

func TestWaitEndsWithItsContext(t *testing.T) {
	_, f := devapitest.New(t, devapi.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.WaitSent(ctx, devapi.FetchX509SVID, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Each bad answer must be bad in the eyes of go-spiffe.
func TestBadAnswersAreBad(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	client, ctx := stub(t, s), withHeader(deadline(t))
	check := func(name string, do func() error) {
		t.Helper()
		if err := do(); err == nil {
			t.Errorf("%s: accepted", name)
		}
		f.Heal()
		if err := do(); err != nil {
			t.Errorf("%s: still bad after healing: %v", name, err)
		}
	}
	badX509, err := s.BadX509SVIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range badX509 {
		devapi.Mutate(f, b.Edit)
		check(b.Name, func() error { return fetchX509(ctx, client) })
	}
	badJWT, err := s.BadJWTSVIDs("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range badJWT {
		devapi.Mutate(f, b.Edit)
		check(b.Name, func() error {
			resp, err := client.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"a"}})
			if err != nil || len(resp.Svids) == 0 {
				return errors.Join(err, errors.New("no SVIDs"))
			}
			svid, err := jwtsvid.ParseInsecure(resp.Svids[0].Svid, []string{"a"})
			if err == nil && svid.ID.String() != resp.Svids[0].SpiffeId {
				err = errors.New("another SPIFFE ID")
			}
			return err
		})
	}
	badWIT, err := s.BadWITSVIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range badWIT {
		devapi.Mutate(f, b.Edit)
		check(b.Name, func() error { return fetchWIT(ctx, s) })
	}
}

func fetchX509(ctx context.Context, client workload.SpiffeWorkloadAPIClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
	if err != nil {
		return err
	}
	resp, err := stream.Recv()
	if err != nil {
		return err
	}
	if len(resp.Svids) == 0 {
		return errors.New("no SVIDs")
	}
	v := resp.Svids[0]
	svid, err := x509svid.ParseRaw(v.X509Svid, v.X509SvidKey)
	if err != nil {
		return err
	}
	if svid.ID.String() != v.SpiffeId {
		return errors.New("another SPIFFE ID")
	}
	bundle, err := x509bundle.ParseRaw(spiffeid.RequireTrustDomainFromString("example.org"), v.Bundle)
	if err != nil {
		return err
	}
	_, _, err = x509svid.Verify(svid.Certificates, bundle)
	return err
}

func fetchWIT(ctx context.Context, s *devapi.Server) error {
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(s.Addr()))
	if err != nil {
		return err
	}
	defer client.Close()
	svid, err := client.FetchWITSVID(ctx, "")
	if err != nil {
		return err
	}
	if !svid.PublicKey.(equaler).Equal(svid.PrivateKey.(signer).Public()) {
		return errors.New("another key")
	}
	return nil
}
