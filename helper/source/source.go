package source

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// A Source keeps what the Workload API last said.
type Source struct {
	board  *board
	conn   *connection
	watch  *socketWatch                              // nil: nothing to watch
	clock  func(ctx context.Context, stepped func()) // watches the wall clock; nil: nothing does
	tokens *tokens
	fatal  chan error // capacity 1

	mu      sync.Mutex
	needs   Needs
	changed chan struct{} // capacity 1: needs is new
}

// A FatalError is an answer that asking again will not change, before anything
// depended on the source.
type FatalError struct {
	Profile string
	Code    codes.Code
	Err     error
}

func (e *FatalError) Error() string {
	if e.Code == codes.Unimplemented {
		return fmt.Sprintf("%s: the Workload API does not support it (%v); remove what needs it from the configuration, or use another agent", e.Profile, e.Err)
	}
	return fmt.Sprintf("%s: the Workload API calls the request invalid (%v); check the configuration, and that the address is the Workload API's", e.Profile, e.Err)
}

func (e *FatalError) Unwrap() error { return e.Err }

// New returns a source that does nothing yet. It fails if the address is none.
func New(cfg Config, log *slog.Logger) (*Source, error) {
	if cfg.Dial != nil {
		return newSource(cfg, grpcDialer{connect: cfg.Dial}, nil, log), nil
	}
	a, err := ParseAddress(cfg.Address, runtime.GOOS)
	if err != nil {
		return nil, fmt.Errorf("address of the Workload API %q: %w", cfg.Address, err)
	}
	var w *socketWatch
	if a.Network == "unix" {
		w = newSocketWatch(a.Target, log)
	}
	s := newSource(cfg, newDialer(a), w, log)
	s.clock = watchClock
	return s, nil
}

func newSource(cfg Config, d dialer, w *socketWatch, log *slog.Logger) *Source {
	s := &Source{
		board:   newBoard(cfg.Address, log),
		watch:   w,
		fatal:   make(chan error, 1),
		changed: make(chan struct{}, 1),
	}
	s.conn = newConnection(d, w, s.board)
	s.tokens = newTokens(s.board, s.conn, s.fail)
	s.Reconfigure(cfg.Needs)
	return s
}

// Updates tells that Status has changed. Its capacity is one: a reader that was
// busy hears once, and reads the latest.
func (s *Source) Updates() <-chan struct{} { return s.board.updates }

// Status returns what there is to say at this instant. It costs nothing while
// nothing changes.
func (s *Source) Status() *Status { return s.board.status() }

// MustNotFail says that something runs that depends on the source: from now on no
// answer ends Run. Without it, that is so once everything needed has been
// answered.
func (s *Source) MustNotFail() { s.board.depend() }

// Reconfigure changes what is needed. Streams and tokens that are needed before
// and after are not disturbed. It does not block. Status shows at once what is
// needed additionally, and soon no more what is not.
func (s *Source) Reconfigure(needs Needs) {
	s.mu.Lock()
	s.needs = needs
	s.mu.Unlock()
	s.board.dispense(needs.Dispensable)
	for _, p := range s.streams() {
		if p.wanted(needs) {
			s.board.add(key{profile: p.profile})
		}
	}
	for _, r := range needs.JWTSVIDs {
		s.board.add(key{ProfileJWTSVID, r})
	}
	poke(s.changed)
}

// fail ends Run with err; the first call counts.
func (s *Source) fail(err error) {
	select {
	case s.fatal <- err:
	default:
	}
}

// Run talks to the Workload API until ctx ends, and returns nil then, or until
// it is told something that no retry will mend, and returns a *FatalError. All
// that it started has ended when it returns. It is called once.
func (s *Source) Run(ctx context.Context) error {
	// The connection outlives its streams, which would take its end for a
	// loss.
	connCtx, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	var conn sync.WaitGroup
	defer conn.Wait()
	defer disconnect()
	conn.Go(func() { s.conn.run(connCtx) })
	if s.watch != nil {
		conn.Go(func() { s.watch.run(connCtx) })
	}
	if s.clock != nil {
		conn.Go(func() { s.clock(connCtx, s.conn.clockStepped) })
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.tokens.run(ctx) })
	wg.Go(func() { s.board.remind(ctx) })
	running := make(map[Profile]func()) // how to stop it and wait
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.fatal:
			return err
		case <-s.changed:
			s.apply(ctx, &wg, running)
		}
	}
}

// apply starts and stops streams.
func (s *Source) apply(ctx context.Context, wg *sync.WaitGroup, running map[Profile]func()) {
	s.mu.Lock()
	needs := s.needs
	s.mu.Unlock()
	for _, p := range s.streams() {
		stop, runs := running[p.profile]
		wanted := p.wanted(needs)
		if wanted {
			s.board.add(key{profile: p.profile})
		}
		switch {
		case wanted && !runs:
			streamCtx, cancel := context.WithCancel(ctx)
			done := make(chan struct{})
			wg.Go(func() {
				defer close(done)
				p.run(streamCtx)
			})
			running[p.profile] = func() { cancel(); <-done }
		case !wanted && runs:
			stop()
			delete(running, p.profile)
		}
		if !wanted {
			s.board.remove(key{profile: p.profile}, p.clear)
		}
	}
	s.tokens.need(ctx, needs.JWTSVIDs)
}

// A streamSpec is a streaming profile: when it is wanted, how it runs, and how
// its part leaves the snapshot.
type streamSpec struct {
	profile Profile
	wanted  func(Needs) bool
	run     func(context.Context)
	clear   func(*snapshot.Snapshot)
}

// streams lists the streaming profiles.
func (s *Source) streams() []streamSpec {
	return []streamSpec{
		{ProfileX509SVID, func(n Needs) bool { return n.X509 }, s.x509SVIDs, func(s *snapshot.Snapshot) { s.X509 = nil }},
		{ProfileX509Bundle, func(n Needs) bool { return n.X509Bundles }, s.x509Bundles, func(s *snapshot.Snapshot) { s.X509Bundles = nil }},
		{ProfileJWTBundle, func(n Needs) bool { return n.JWTBundles }, s.jwtBundles, func(s *snapshot.Snapshot) { s.JWTBundles = nil }},
		{ProfileWITSVID, func(n Needs) bool { return n.WIT }, s.witSVIDs, func(s *snapshot.Snapshot) { s.WIT = nil }},
		{ProfileWITBundle, func(n Needs) bool { return n.WITBundles }, s.witBundles, func(s *snapshot.Snapshot) { s.WITBundles = nil }},
	}
}

func (s *Source) x509SVIDs(ctx context.Context) {
	(&stream[workload.X509SVIDResponse, x509Part]{
		key: key{profile: ProfileX509SVID}, board: s.board, conn: s.conn, fatal: s.fail,
		open: func(ctx context.Context, api workload.SpiffeWorkloadAPIClient) (grpc.ServerStreamingClient[workload.X509SVIDResponse], error) {
			return api.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
		},
		parse:  parseX509,
		store:  func(s *snapshot.Snapshot, p *x509Part) { s.X509 = p.out },
		expiry: (*x509Part).expiry, svids: (*x509Part).svids,
	}).run(ctx)
}

func (s *Source) x509Bundles(ctx context.Context) {
	(&stream[workload.X509BundlesResponse, x509BundlesPart]{
		key: key{profile: ProfileX509Bundle}, board: s.board, conn: s.conn, fatal: s.fail,
		open: func(ctx context.Context, api workload.SpiffeWorkloadAPIClient) (grpc.ServerStreamingClient[workload.X509BundlesResponse], error) {
			return api.FetchX509Bundles(ctx, &workload.X509BundlesRequest{})
		},
		parse: parseX509Bundles,
		store: func(s *snapshot.Snapshot, p *x509BundlesPart) { s.X509Bundles = p.out },
	}).run(ctx)
}

func (s *Source) jwtBundles(ctx context.Context) {
	(&stream[workload.JWTBundlesResponse, jwtBundlesPart]{
		key: key{profile: ProfileJWTBundle}, board: s.board, conn: s.conn, fatal: s.fail,
		open: func(ctx context.Context, api workload.SpiffeWorkloadAPIClient) (grpc.ServerStreamingClient[workload.JWTBundlesResponse], error) {
			return api.FetchJWTBundles(ctx, &workload.JWTBundlesRequest{})
		},
		parse: parseJWTBundles,
		store: func(s *snapshot.Snapshot, p *jwtBundlesPart) { s.JWTBundles = p.out },
	}).run(ctx)
}

func (s *Source) witSVIDs(ctx context.Context) {
	(&stream[workload.WITSVIDResponse, witPart]{
		key: key{profile: ProfileWITSVID}, board: s.board, conn: s.conn, fatal: s.fail,
		open: func(ctx context.Context, api workload.SpiffeWorkloadAPIClient) (grpc.ServerStreamingClient[workload.WITSVIDResponse], error) {
			return api.FetchWITSVID(ctx, &workload.WITSVIDRequest{})
		},
		parse:  parseWIT,
		store:  func(s *snapshot.Snapshot, p *witPart) { s.WIT = p.out },
		expiry: (*witPart).expiry, svids: (*witPart).svids,
	}).run(ctx)
}

func (s *Source) witBundles(ctx context.Context) {
	(&stream[workload.WITBundlesResponse, witBundlesPart]{
		key: key{profile: ProfileWITBundle}, board: s.board, conn: s.conn, fatal: s.fail,
		open: func(ctx context.Context, api workload.SpiffeWorkloadAPIClient) (grpc.ServerStreamingClient[workload.WITBundlesResponse], error) {
			return api.FetchWITBundles(ctx, &workload.WITBundlesRequest{})
		},
		parse: parseWITBundles,
		store: func(s *snapshot.Snapshot, p *witBundlesPart) { s.WITBundles = p.out },
	}).run(ctx)
}
