//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// A world issues what the feeds say. Every program of a line gets the same
// answers.
type world struct {
	authority *devapi.Authority
	svids     []*workload.X509SVID
	federated [2]map[string][]byte // two sets, so that all of them can change
	turn      int
}

func newWorld(identities, federated int) (*world, error) {
	a, err := devapi.NewAuthority(spiffeid.RequireTrustDomainFromString("example.org"), devapi.AuthorityOptions{})
	if err != nil {
		return nil, err
	}
	w := &world{authority: a, svids: make([]*workload.X509SVID, identities)}
	for i := range w.svids {
		if err := w.renew(i); err != nil {
			return nil, err
		}
	}
	for set := range w.federated {
		w.federated[set] = make(map[string][]byte)
		for i := range federated {
			td := spiffeid.RequireTrustDomainFromString(fmt.Sprintf("td%d.example", i))
			a, err := devapi.NewAuthority(td, devapi.AuthorityOptions{})
			if err != nil {
				return nil, err
			}
			w.federated[set][td.IDString()] = a.X509Authority().Raw
		}
	}
	return w, nil
}

func identity(i int) devapi.Identity {
	return devapi.Identity{ID: spiffeid.RequireFromString(fmt.Sprintf("spiffe://example.org/bench/%d", i))}
}

func (w *world) renew(i int) (err error) {
	now := time.Now()
	w.svids[i], err = w.authority.IssueX509SVID(identity(i), now.Add(-time.Minute), now.Add(time.Hour).Truncate(time.Second))
	return err
}

// next is an answer in which the first SVID is new, and every federated bundle
// if foreign says so.
func (w *world) next(foreign bool) (*workload.X509SVIDResponse, error) {
	if foreign {
		w.turn = 1 - w.turn
	}
	if err := w.renew(0); err != nil {
		return nil, err
	}
	return &workload.X509SVIDResponse{
		Svids:            append([]*workload.X509SVID(nil), w.svids...),
		FederatedBundles: w.federated[w.turn],
	}, nil
}

// A feed is a Workload API that says what it is told to, when it is told to.
type feed struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	socket string
	world  *world
	server *grpc.Server

	mu         sync.Mutex
	current    *workload.X509SVIDResponse
	superseded chan struct{}
	sent       time.Time // the last answer, by the clock of its last stream
}

func newFeed(socket string, w *world) (*feed, error) {
	first, err := w.next(false)
	f := &feed{socket: socket, world: w, current: first, superseded: make(chan struct{})}
	if err != nil {
		return nil, err
	}
	return f, f.serve()
}

func (f *feed) serve() error {
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		return err
	}
	f.server = grpc.NewServer(grpc.MaxSendMsgSize(64 << 20))
	workload.RegisterSpiffeWorkloadAPIServer(f.server, f)
	go func(s *grpc.Server) {
		if err := s.Serve(l); err != nil {
			fmt.Fprintln(os.Stderr, "serving the Workload API:", err)
		}
	}(f.server)
	return nil
}

// stop cuts every connection and removes the socket.
func (f *feed) stop() { f.server.Stop() }

func (f *feed) push(answer *workload.X509SVIDResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current = answer
	close(f.superseded)
	f.superseded = make(chan struct{})
}

// FetchX509SVID takes the time before the answer enters the socket, and after
// it is encoded: encoding a thousand bundles is the agent's cost.
func (f *feed) FetchX509SVID(_ *workload.X509SVIDRequest, to grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	for {
		f.mu.Lock()
		answer, superseded := f.current, f.superseded
		f.mu.Unlock()
		var message grpc.PreparedMsg
		if err := message.Encode(to, answer); err != nil {
			return err
		}
		f.mu.Lock()
		f.sent = time.Now()
		f.mu.Unlock()
		if err := to.SendMsg(&message); err != nil {
			return err
		}
		select {
		case <-superseded:
		case <-to.Context().Done():
			return nil
		}
	}
}

func (f *feed) FetchJWTSVID(_ context.Context, request *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	now := time.Now()
	svid, err := f.world.authority.IssueJWTSVID(identity(0), request.Audience, now, now.Add(time.Hour).Truncate(time.Second))
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{svid}}, err
}

func (f *feed) lastSent() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// leafOf is what the child reports of an answer.
func leafOf(answer *workload.X509SVIDResponse) string {
	return fmt.Sprintf("%x", sha256.Sum256(answer.Svids[0].X509Svid))
}
