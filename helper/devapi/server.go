package devapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// A Server is a Workload API. Its methods may be called at any time, from any
// goroutine.
type Server struct {
	config  Config
	log     *slog.Logger
	current atomic.Pointer[answers]

	mu    sync.Mutex // guards world and the order in which answers succeed each other
	world *world

	lifecycle sync.Mutex // guards what follows
	address   string     // as served last, ports resolved
	listener  net.Listener
	grpc      *grpc.Server // nil: not serving
	serving   sync.WaitGroup
	rotating  sync.WaitGroup
	stop      context.CancelFunc // ends rotating; nil: not rotating
}

// New returns a server that has issued everything, and serves nothing yet.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	w, err := newWorld(c)
	if err != nil {
		return nil, fmt.Errorf("development Workload API: %w", err)
	}
	s := &Server{config: c, log: c.Log, world: w}
	if err := s.publish(); err != nil {
		return nil, fmt.Errorf("development Workload API: %w", err)
	}
	return s, nil
}

// Start serves on the address, unix:///path or tcp://IP:port, until Close or
// Down, and rotates until Close. The directory of a socket is created, for the
// owner alone, when it is missing; a socket that is not served any more is
// replaced.
func (s *Server) Start(address string) error {
	_, err := s.start(address)
	return err
}

// start returns where to hear that serving has ended by itself.
func (s *Server) start(address string) (failed <-chan error, err error) {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	if s.grpc != nil {
		return nil, fmt.Errorf("development Workload API: serving on %s already", s.address)
	}
	l, err := s.config.Listen(address)
	if err != nil {
		return nil, fmt.Errorf("development Workload API: %w", err)
	}
	s.listener, s.address = l, addressOf(l)
	s.log.Warn("for development only: the authorities are throwaway, and every caller gets every identity", "address", s.address)
	for _, svid := range s.SVIDs() {
		s.logSVID("serving", svid)
	}

	s.grpc = s.newGRPC()
	ended := make(chan error, 1)
	s.serving.Go(s.serve(s.grpc, l, ended))
	if s.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		s.stop = cancel
		s.rotating.Go(func() { s.rotate(ctx) })
	}
	return ended, nil
}

func (s *Server) serve(g *grpc.Server, l net.Listener, failed chan<- error) func() {
	return func() {
		err := g.Serve(newCuttingListener(s.config.Faults.listener(l)))
		if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			err = fmt.Errorf("development Workload API: serving on %s: %w", addressOf(l), err)
			s.log.Error("serving ended", "error", err)
			failed <- err
		}
	}
}

func (s *Server) newGRPC() *grpc.Server {
	options := slices.Concat(
		s.config.GRPC,
		s.config.Faults.serverOptions(), // before the header is checked: a broken server may forget to
		[]grpc.ServerOption{
			grpc.ChainUnaryInterceptor(checkUnaryHeader),
			grpc.ChainStreamInterceptor(checkStreamHeader),
			grpc.WaitForHandlers(true),
		})
	g := grpc.NewServer(options...)
	workload.RegisterSpiffeWorkloadAPIServer(g, api{Server: s})
	healthpb.RegisterHealthServer(g, health.NewServer())
	return g
}

// Serve is Start, then Close when the context ends. Its error is that of
// serving: a context that ends is none.
func (s *Server) Serve(ctx context.Context, address string) error {
	failed, err := s.start(address)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, s.Close())
}

// Addr returns the address served, ports resolved, as a client would write it.
func (s *Server) Addr() string {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	return s.address
}

// Close cuts all connections, removes the socket and ends rotation. Nothing of
// the server is left running when it returns.
func (s *Server) Close() error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	s.stopServing()
	if s.stop != nil {
		s.stop()
		s.rotating.Wait()
		s.stop = nil
	}
	return nil
}

func (s *Server) stopServing() {
	if s.grpc == nil {
		return
	}
	s.grpc.Stop() // its listener removes the socket
	s.serving.Wait()
	s.grpc = nil
}

// rotate renews each SVID at half of its life.
func (s *Server) rotate(ctx context.Context) {
	for {
		current := s.current.Load()
		var due <-chan time.Time // nil, which blocks for ever, with nothing to renew
		if !current.renewAt.IsZero() {
			due = time.After(time.Until(current.renewAt))
		}
		select {
		case <-due:
			s.renew(func(m *member) bool { return !m.renewAt.After(time.Now()) })
		case <-current.superseded:
		case <-ctx.Done():
			return
		}
	}
}
