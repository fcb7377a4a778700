package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxMessage bounds an answer. grpc's default of 4 MB is less than the
	// bundles of a large federation.
	maxMessage = 64 << 20
	// flowWindow lets a large answer arrive without a round trip for every
	// 64 KiB, and without the pings by which grpc would measure that.
	flowWindow = 1 << 20
	// What is sent is a request at a time, and most answers are a few kilobytes;
	// grpc's own buffers are 32 KiB, and twice that for writing. A part of an
	// answer that is larger than the buffer is read without it.
	readBuffer  = 8 << 10
	writeBuffer = 1 << 10
	// handshakeTimeout bounds connecting, up to the server's first frame.
	handshakeTimeout = 10 * time.Second
	// A ping after pingAfter without traffic finds a server that is connected
	// over TCP but dead. Servers answer more than one in five minutes by
	// hanging up, unless they are configured otherwise. Over a Unix socket none
	// is needed: the kernel tells when the other side dies.
	pingAfter   = 6 * time.Minute
	pingTimeout = 20 * time.Second
)

// A dialer connects to the Workload API: one attempt, no retry.
type dialer interface {
	dial(ctx context.Context) (*link, error)
}

// A link is one connection to the Workload API. It is never repaired: when it
// is gone, another one is made.
type link struct {
	api workload.SpiffeWorkloadAPIClient
	// gone is closed when the link is of no use any more. A stream that ended
	// because of that finds it closed.
	gone <-chan struct{}
	// close ends every stream, releases the link and closes gone.
	close func()
	// socket is what was connected to.
	socket socketID
	// made is when the connection was.
	made time.Time

	firstAnswer, lastAnswer atomic.Pointer[time.Time]
}

// answered notes a sign of life from the server.
func (l *link) answered(now time.Time) {
	l.firstAnswer.CompareAndSwap(nil, &now)
	l.lastAnswer.Store(&now)
}

// answeredSince reports whether there was one, on any stream, since then.
func (l *link) answeredSince(then time.Time) bool {
	last := l.lastAnswer.Load()
	return last != nil && !last.Before(then)
}

// isGone reports whether the link is gone.
func (l *link) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// A grpcDialer makes each link from one network connection and a client on
// top of it. grpc's own reconnecting, with a backoff of its own that nothing
// cuts short reliably, never comes into play.
type grpcDialer struct {
	connect func(context.Context) (net.Conn, error)
	ping    bool // the other side can die without a sign
}

func newDialer(a Address) grpcDialer {
	return grpcDialer{
		connect: func(ctx context.Context) (net.Conn, error) { return dialNet(ctx, a) },
		ping:    a.Network == "tcp",
	}
}

func (d grpcDialer) dial(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	tc := &trackedConn{Conn: conn, gone: make(chan struct{})}
	cc, err := grpc.NewClient("passthrough:///workload-api", d.options(tc)...)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("grpc client: %w", err)
	}
	if err := handshake(ctx, cc); err != nil {
		cc.Close()
		tc.Close()
		return nil, err
	}
	return newLink(cc, tc), nil
}

func (d grpcDialer) options(conn *trackedConn) []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), // Workload Endpoint 3: no TLS
		grpc.WithContextDialer(conn.dialOnce),
		grpc.WithAuthority("localhost"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.ForceCodecV2(newBoundedCodec())),
		grpc.WithInitialWindowSize(flowWindow),
		grpc.WithInitialConnWindowSize(flowWindow),
		grpc.WithReadBufferSize(readBuffer),
		grpc.WithWriteBufferSize(writeBuffer),
		grpc.WithIdleTimeout(0),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableHealthCheck(),
	}
	if d.ping {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout}))
	}
	return options
}

// handshake waits for the server's first frame.
func handshake(ctx context.Context, cc *grpc.ClientConn) error {
	cc.Connect()
	for begun := false; ; {
		state := cc.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Connecting:
			begun = true
		case connectivity.Idle:
			if begun {
				return errHungUp
			}
		default:
			return errHungUp
		}
		if !cc.WaitForStateChange(ctx, state) {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return errSilent
			}
			return ctx.Err()
		}
	}
}

var (
	errHungUp = errors.New("connected, but the other side hung up: it does not speak gRPC, or is going down")
	errSilent = fmt.Errorf("connected, but no answer within %s: the other side does not speak gRPC, or hangs", handshakeTimeout)
)

// newLink makes a link that is gone when the connection is closed, or when the
// client leaves its ready state: a server can announce its end long before it
// closes the connection.
func newLink(cc *grpc.ClientConn, conn *trackedConn) *link {
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		cc.WaitForStateChange(ctx, connectivity.Ready)
		conn.lost()
	}()
	return &link{
		api:  workload.NewSpiffeWorkloadAPIClient(cc),
		gone: conn.gone,
		close: sync.OnceFunc(func() {
			conn.lost()
			cancel()
			cc.Close()
			<-done
		}),
	}
}

// A trackedConn is a network connection that is handed out once. It knows when
// it is of no use any more; grpc closes it before it ends the streams on it.
type trackedConn struct {
	net.Conn
	used atomic.Bool
	gone chan struct{}
	once sync.Once
}

func (c *trackedConn) lost() { c.once.Do(func() { close(c.gone) }) }

func (c *trackedConn) Close() error {
	c.lost()
	return c.Conn.Close()
}

var errUsed = errors.New("the connection is gone")

func (c *trackedConn) dialOnce(context.Context, string) (net.Conn, error) {
	if c.used.Swap(true) {
		c.lost() // before the calls that wait for another connection fail
		return nil, errUsed
	}
	return c, nil
}
