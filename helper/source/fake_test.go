package source

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// A fakeServer is a Workload API in memory, for tests that drive the clock.
// Everything else is tested over a real socket.
type fakeServer struct {
	x509       feed[workload.X509SVIDResponse]
	jwtBundles feed[workload.JWTBundlesResponse]
	delay      time.Duration // of the first answer on each stream
	// jwt answers FetchJWTSVID.
	jwt func(context.Context, *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error)

	mu      sync.Mutex
	down    bool
	links   []func()    // how to cut each
	dials   []time.Time // attempts to connect
	fetches []time.Time // of JWT-SVIDs
}

// dial connects, unless the server is down.
func (f *fakeServer) dial(context.Context) (*link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, time.Now())
	if f.down {
		return nil, fmt.Errorf("dial fake: %w", errRefused)
	}
	gone := make(chan struct{})
	cut := sync.OnceFunc(func() { close(gone) })
	f.links = append(f.links, cut)
	return &link{api: &fakeAPI{server: f, gone: gone}, gone: gone, close: cut}, nil
}

// setDown cuts every connection and refuses new ones, or accepts them again.
func (f *fakeServer) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
	if down {
		for _, cut := range f.links {
			cut()
		}
		f.links = nil
	}
}

func (f *fakeServer) fetched() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.fetches)
}

func (f *fakeServer) dialed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.dials)
}

// A fakeAPI is one connection to a fakeServer.
type fakeAPI struct {
	workload.SpiffeWorkloadAPIClient // panics on what is not faked
	server                           *fakeServer
	gone                             chan struct{}
}

func (a *fakeAPI) FetchX509SVID(ctx context.Context, _ *workload.X509SVIDRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[workload.X509SVIDResponse], error) {
	return a.server.x509.open(ctx, a.gone, a.server.delay), nil
}

func (a *fakeAPI) FetchJWTBundles(ctx context.Context, _ *workload.JWTBundlesRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[workload.JWTBundlesResponse], error) {
	return a.server.jwtBundles.open(ctx, a.gone, a.server.delay), nil
}

func (a *fakeAPI) FetchJWTSVID(ctx context.Context, req *workload.JWTSVIDRequest, _ ...grpc.CallOption) (*workload.JWTSVIDResponse, error) {
	a.server.mu.Lock()
	a.server.fetches = append(a.server.fetches, time.Now())
	answer := a.server.jwt
	a.server.mu.Unlock()
	select {
	case <-a.gone:
		return nil, status.Error(codes.Unavailable, "connection lost")
	default:
		return answer(ctx, req)
	}
}

// A feed is what one streaming RPC says.
type feed[R any] struct {
	mu      sync.Mutex
	message *R // nil: nothing
	version int
	fault   error         // how every stream ends
	single  bool          // each stream ends after one message
	changed chan struct{} // closed at a change
	opens   []time.Time
}

func (f *feed[R]) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	if f.changed != nil {
		close(f.changed)
	}
	f.changed = make(chan struct{})
}

// say sends a message on every stream, open ones and those to come.
func (f *feed[R]) say(m *R) { f.update(func() { f.message = m; f.version++ }) }

// fail ends every stream with err, until it is nil.
func (f *feed[R]) fail(err error) { f.update(func() { f.fault = err }) }

func (f *feed[R]) opened() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.opens)
}

func (f *feed[R]) open(ctx context.Context, gone <-chan struct{}, delay time.Duration) *fakeStream[R] {
	f.update(func() { f.opens = append(f.opens, time.Now()) })
	return &fakeStream[R]{feed: f, ctx: ctx, gone: gone, ready: time.Now().Add(delay)}
}

type fakeStream[R any] struct {
	grpc.ClientStream
	feed  *feed[R]
	ctx   context.Context
	gone  <-chan struct{}
	ready time.Time
	seen  int
}

func (s *fakeStream[R]) Recv() (*R, error) {
	select {
	case <-time.After(time.Until(s.ready)):
	case <-s.ctx.Done():
	}
	for {
		m, changed, err := s.next()
		if m != nil || err != nil {
			return m, err
		}
		select {
		case <-changed:
		case <-s.gone:
			return nil, status.Error(codes.Unavailable, "connection lost")
		case <-s.ctx.Done():
			return nil, status.FromContextError(s.ctx.Err()).Err()
		}
	}
}

func (s *fakeStream[R]) next() (*R, <-chan struct{}, error) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.fault != nil:
		return nil, nil, f.fault
	case f.single && s.seen > 0:
		return nil, nil, status.Error(codes.Unavailable, "one message is enough")
	case f.message != nil && f.version > s.seen:
		s.seen = f.version
		return any(proto.Clone(any(f.message).(proto.Message))).(*R), nil, nil
	}
	return nil, f.changed, nil
}

// newFakeSource returns a source on a fakeServer.
func newFakeSource(t *testing.T, f *fakeServer, needs Needs, log *slog.Logger) *Source {
	t.Helper()
	return newSource(Config{Address: "unix:///fake", Needs: needs}, f, nil, log)
}

// A logCounter counts log records by message.
type logCounter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (l *logCounter) logger() *slog.Logger {
	l.counts = make(map[string]int)
	return slog.New(l)
}

func (l *logCounter) Enabled(context.Context, slog.Level) bool { return true }
func (l *logCounter) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logCounter) WithGroup(string) slog.Handler            { return l }

func (l *logCounter) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[r.Message]++
	return nil
}

func (l *logCounter) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[message]
}
