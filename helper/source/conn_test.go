package source

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/testbed"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"
)

// A socket is replaced by another server's while the old server still serves
// whom it has accepted.
func TestSocketReplacedByANewInode(t *testing.T) {
	path := devapitest.Socket(t)
	older, faults := devapitest.New(t, devapi.Config{})
	check(t, older.Start("unix://"+path))
	s := newTestSource(t, Config{Address: "unix://" + path, Needs: everything("a")})
	stop := run(t, s)
	await(t, s, "everything", allArrived)
	promptly(t, "another server's SVID", func(p *testbed.Pulse) []sample {
		newer := serveAt(t, path+".new")
		check(t, os.Rename(path+".new", path))
		start := time.Now()
		arrival(t, s, serial(newer))
		return []sample{since(p, start)}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := faults.Wait(ctx, func(c devapi.Counts) bool { return c.OpenConnections == 0 }); err != nil {
		t.Errorf("the old server still has a connection: %v", err)
	}
	check(t, stop())
}

// A restart that brings nothing new publishes nothing.
func TestReconnectionToTheSameSVIDsIsNoNews(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: Needs{X509: true, X509Bundles: true, JWTBundles: true, WIT: true, WITBundles: true}})
	stop := run(t, s)
	await(t, s, "everything", allArrived)
	before := s.Status().Snapshot
	api.Down()
	await(t, s, "the loss", func(_ *snapshot.Snapshot, st *Status) bool { return !st.Connection.Connected })
	check(t, api.Up())
	await(t, s, "the return", func(_ *snapshot.Snapshot, st *Status) bool {
		return !slices.ContainsFunc(st.Profiles, func(p *ProfileStatus) bool { return p.State != StateStreaming })
	})
	if s.Status().Snapshot != before {
		t.Error("the snapshot is another one")
	}
	stop()
}

// An identical push is not news, not even to whoever only listens.
func TestIdenticalPushIsNoNews(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: Needs{X509: true}})
	stop := run(t, s)
	await(t, s, "everything", allArrived)
	before := s.Status().Snapshot
	success := s.Status().Profiles[0].LastSuccess
	select {
	case <-s.Updates():
	default:
	}
	api.Push()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := faults.WaitSent(ctx, devapi.FetchX509SVID, 2); err != nil {
		t.Fatal(err)
	}
	for s.Status().Profiles[0].LastSuccess.Equal(success) {
		if ctx.Err() != nil {
			t.Fatal("the push was not received")
		}
		pass(time.Millisecond)
	}
	select {
	case <-s.Updates():
		t.Error("an identical push was announced")
	default:
	}
	if s.Status().Snapshot != before {
		t.Error("an identical push made another snapshot")
	}
	stop()
}

// Whatever state it is in, a source ends when it is told to.
func TestEndsAtOnce(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T) (address string, ready func(*Status) bool){
		"no socket": func(t *testing.T) (string, func(*Status) bool) {
			return "unix://" + devapitest.Socket(t), func(s *Status) bool { return s.Connection.LastError != nil }
		},
		"server that never answers": func(t *testing.T) (string, func(*Status) bool) {
			path := devapitest.Socket(t)
			silentServer(t, path)
			return "unix://" + path, func(s *Status) bool { return true }
		},
		"streams that hang": func(t *testing.T) (string, func(*Status) bool) {
			api, faults := devapitest.Start(t, devapi.Config{})
			faults.Hang()
			return api.Addr(), func(s *Status) bool { return s.Profiles[0].State == StateWaiting }
		},
		"streaming": func(t *testing.T) (string, func(*Status) bool) {
			api, _ := devapitest.Start(t, devapi.Config{})
			return api.Addr(), func(s *Status) bool { return len(s.Awaited()) == 0 }
		},
		"denied": func(t *testing.T) (string, func(*Status) bool) {
			api, faults := devapitest.Start(t, devapi.Config{})
			faults.Deny()
			return api.Addr(), func(s *Status) bool { return s.Profiles[0].State == StateDenied }
		},
	} {
		t.Run(name, func(t *testing.T) {
			promptly(t, "the end", func(p *testbed.Pulse) []sample {
				address, ready := prepare(t)
				s := newTestSource(t, Config{Address: address, Needs: everything("a")})
				stop := run(t, s)
				await(t, s, name, func(_ *snapshot.Snapshot, st *Status) bool { return ready(st) })
				start := time.Now()
				check(t, stop())
				return []sample{since(p, start)}
			})
		})
	}
}

// Unrelated files that come and go beside the socket, or where it should be,
// cause no attempts.
func TestUnrelatedFilesCauseNoAttempts(t *testing.T) {
	t.Parallel()
	for name, socket := range map[string]bool{"beside a socket left behind": true, "where no socket is": false} {
		t.Run(name, func(t *testing.T) {
			path := devapitest.Socket(t)
			if socket {
				leaveSocket(t, path)
			}
			s := newTestSource(t, Config{Address: "unix://" + path, Needs: Needs{X509: true}})
			stop := run(t, s)
			await(t, s, "the first failure", func(_ *snapshot.Snapshot, st *Status) bool { return st.Connection.LastError != nil })
			pass(2 * eager) // the rush to the socket that was there at the start
			before, start := s.Status().Connection.Attempts, time.Now()
			for i := 0; time.Since(start) < time.Second; i++ {
				other := fmt.Sprint(path, ".", i%10)
				check(t, os.WriteFile(other, []byte("x"), 0o600))
				check(t, os.Remove(other))
			}
			if n := s.Status().Connection.Attempts - before; n > 4 {
				t.Errorf("%d attempts in a second", n)
			}
			check(t, stop())
		})
	}
}

// A server that freezes is replaced by one at the same path.
func TestFrozenServerIsReplaced(t *testing.T) {
	path := devapitest.Socket(t)
	older, faults := devapitest.New(t, devapi.Config{})
	check(t, older.Start("unix://"+path))
	s := newTestSource(t, Config{Address: "unix://" + path, Needs: everything("a")})
	stop := run(t, s)
	await(t, s, "everything", allArrived)
	faults.Freeze()
	promptly(t, "the new server's SVID", func(p *testbed.Pulse) []sample {
		newer := serveAt(t, path+".new")
		check(t, os.Rename(path+".new", path))
		start := time.Now()
		arrival(t, s, serial(newer))
		return []sample{since(p, start)}
	})
	check(t, stop())
	faults.Heal()
}

// A server that ends each connection at a certain age says so in advance: what
// it served goes on over the next one, and nothing has failed.
func TestConnectionsOfLimitedAge(t *testing.T) {
	t.Parallel()
	age := grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 1200 * time.Millisecond})
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, GRPC: []grpc.ServerOption{age}})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: everything("a")})
	stop := run(t, s)
	await(t, s, "everything", allArrived)
	before := s.Status().Snapshot
	await(t, s, "the third connection", func(_ *snapshot.Snapshot, st *Status) bool {
		return st.Connection.Connects >= 3 && !slices.ContainsFunc(st.Profiles, func(p *ProfileStatus) bool { return p.State != StateStreaming })
	})
	if s.Status().Snapshot != before {
		t.Error("the snapshot changed")
	}
	for _, p := range s.Status().Profiles {
		if p.Failures != 0 {
			t.Errorf("%s: %d failures, the last: %v", p.Name(), p.Failures, p.LastError)
		}
	}
	check(t, stop())
}

// A call that finds the server going down finds the link gone: that is no failure
// of its own.
func TestWhatFailsOnALinkFindsItGone(t *testing.T) {
	memory := bufconn.Listen(1 << 16)
	leaving := make(chan struct{}) // the server is told to hang up
	answers := &answersUntil{leaving: leaving}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, answers)
	var serving sync.WaitGroup
	serving.Go(func() { check(t, server.Serve(memory)) })
	defer serving.Wait()

	d := grpcDialer{connect: func(ctx context.Context) (net.Conn, error) { return memory.DialContext(ctx) }}
	l, err := d.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	stream, err := l.api.FetchX509SVID(t.Context(), &workload.X509SVIDRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil { // it is open, and keeps the connection
		t.Fatal(err)
	}
	serving.Go(server.GracefulStop)
	for err == nil { // until the server's word of it has come
		_, err = l.api.FetchJWTSVID(t.Context(), &workload.JWTSVIDRequest{})
	}
	if !l.isGone() {
		t.Errorf("the link is not gone, with %v", err)
	}
	close(leaving)
}

// answersUntil is a Workload API that answers once on each stream, and ends it
// when the server leaves.
type answersUntil struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	leaving <-chan struct{}
}

func (a *answersUntil) FetchX509SVID(_ *workload.X509SVIDRequest, to grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	err := to.Send(&workload.X509SVIDResponse{})
	<-a.leaving
	return err
}

func (a *answersUntil) FetchJWTSVID(context.Context, *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	return &workload.JWTSVIDResponse{}, nil
}
