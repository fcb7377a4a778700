//go:build unix

package devapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
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

func TestWaitEndsWithItsContext(t *testing.T) {
	_, f := devapitest.New(t, devapi.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.WaitSent(ctx, devapi.FetchX509SVID, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
