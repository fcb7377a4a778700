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

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc"
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
	grpc      *grpc.Server
	serving   sync.WaitGroup
	failed    chan error // serving ended by itself
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
	s := &Server{config: c, log: c.Log, world: w, failed: make(chan error, 1)}
	if err := s.publish(); err != nil {
		return nil, fmt.Errorf("development Workload API: %w", err)
	}
	return s, nil
}

// Start serves on the address, unix:///path or tcp://IP:port, until Close or
// Down, and rotates until Close. The directory of a socket is created, for the
// owner alone, when it is missing; a socket that nobody serves any more is
// replaced.
func (s *Server) Start(address string) error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	if s.grpc != nil {
		return fmt.Errorf("development Workload API: serving on %s already", s.address)
	}
	l, err := s.config.Listen(address)
	if err != nil {
		return fmt.Errorf("development Workload API: %w", err)
	}
	s.address = addressOf(l)
	s.log.Warn("this Workload API is for development only: its authorities are throwaway, and everybody who can connect gets every identity", "address", s.address)

	s.grpc = s.newGRPC()
	s.serving.Go(s.serve(s.grpc, l))
	if s.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		s.stop = cancel
		s.rotating.Go(func() { s.rotate(ctx) })
	}
	return nil
}

func (s *Server) serve(g *grpc.Server, l net.Listener) func() {
	return func() {
		err := g.Serve(s.config.Faults.listener(l))
		if err == nil || errors.Is(err, grpc.ErrServerStopped) {
			return
		}
		err = fmt.Errorf("development Workload API: serving on %s: %w", addressOf(l), err)
		s.log.Error("serving ended", "error", err)
		select {
		case s.failed <- err:
		default: // nobody waits in Serve
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
	return g
}

// Serve is Start, then Close when the context ends. Its error is that of
// serving: a context that ends is none.
func (s *Server) Serve(ctx context.Context, address string) error {
	if err := s.Start(address); err != nil {
		return err
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-s.failed:
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

// Rotate issues new SVIDs, of the given SPIFFE IDs or else of all, and pushes
// them to every stream. It returns all current SVIDs, in the order of the
// identities.
func (s *Server) Rotate(ids ...spiffeid.ID) []*x509svid.SVID {
	s.renew(func(m *member) bool { return len(ids) == 0 || slices.Contains(ids, m.ID) })
	return s.SVIDs()
}

func (s *Server) renew(due func(*member) bool) {
	s.change("rotating", func(w *world) error {
		for _, m := range w.members {
			if !due(m) {
				continue
			}
			if err := w.issue(m); err != nil {
				return err
			}
			leaf := m.svid.Certificates[0]
			s.log.Info("rotated", "spiffe_id", m.ID, "serial", leaf.SerialNumber.Text(16), "expires", leaf.NotAfter)
		}
		return nil
	})
}

// change lets f change the world, then pushes the outcome.
func (s *Server) change(what string, f func(*world) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := f(s.world)
	if err == nil {
		err = s.publish()
	}
	if err != nil {
		s.log.Error(what+" failed", "error", err)
	}
	return err
}

// publish makes the world's answers the current ones. Its caller holds mu.
func (s *Server) publish() error {
	next, err := s.world.answers()
	if err != nil {
		return err
	}
	if old := s.current.Swap(next); old != nil {
		close(old.superseded)
	}
	return nil
}

// Push sends everything to every stream once more, unchanged.
func (s *Server) Push() {
	s.change("pushing", func(w *world) error { w.bundles = nil; return nil })
}

// SetIdentities replaces the identities and pushes the outcome. An identity that
// was there before keeps its SVIDs. With none, every stream ends with
// PermissionDenied.
func (s *Server) SetIdentities(ids ...Identity) error {
	return s.change("setting identities", func(w *world) error { return w.setIdentities(ids) })
}

// SetFederated replaces the foreign trust domains and pushes the outcome.
func (s *Server) SetFederated(tds ...spiffeid.TrustDomain) error {
	return s.change("setting federated trust domains", func(w *world) error { return w.setFederated(tds) })
}

// AddAuthority publishes a new authority of the trust domain beside the old
// ones. What is issued from now on is issued by it; SVIDs stay until they are
// rotated.
func (s *Server) AddAuthority(td spiffeid.TrustDomain) error {
	return s.changeDomain(td, (*world).addAuthority)
}

// RetireAuthorities withdraws all authorities of the trust domain but the
// newest. An SVID that an older one issued does not verify any more.
func (s *Server) RetireAuthorities(td spiffeid.TrustDomain) error {
	return s.changeDomain(td, (*world).retireAuthorities)
}

func (s *Server) changeDomain(td spiffeid.TrustDomain, f func(*world, *domain) error) error {
	return s.change("changing authorities", func(w *world) error {
		d, err := w.domain(td)
		if err != nil {
			return err
		}
		return f(w, d)
	})
}

// Revoke puts an X.509-SVID on its trust domain's revocation list.
func (s *Server) Revoke(svid *x509svid.SVID) error {
	return s.changeDomain(svid.ID.TrustDomain(), func(w *world, d *domain) error {
		return w.revoke(d, svid.Certificates[0].SerialNumber)
	})
}

// SVIDs returns the current X.509-SVIDs, in the order of the identities.
func (s *Server) SVIDs() []*x509svid.SVID { return slices.Clone(s.current.Load().svids) }

// X509Bundles returns the current X.509 bundles.
func (s *Server) X509Bundles() *x509bundle.Set { return s.current.Load().bundles.x509Set }

// JWTBundles returns the current JWT bundles.
func (s *Server) JWTBundles() *jwtbundle.Set { return s.current.Load().bundles.jwtSet }

// WITBundles returns the current WIT bundles.
func (s *Server) WITBundles() *witbundle.Set { return s.current.Load().bundles.witSet }
