package source

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// eager is how long a socket that has just appeared is tried again within
// milliseconds: bind comes before listen, and the socket's rights after that.
const eager = 250 * time.Millisecond

// A connection keeps one link to the Workload API and hands it to each stream that asks.
type connection struct {
	dialer  dialer
	watch   *socketWatch // nil: none
	board   *board
	links   chan *link // the present link, to each stream that asks
	renewal chan *link // links that should be replaced
	stepped chan struct{}
	retry   *retrier
}

func newConnection(d dialer, w *socketWatch, b *board) *connection {
	return &connection{
		dialer: d, watch: w, board: b, retry: newRetrier(),
		links: make(chan *link), renewal: make(chan *link), stepped: make(chan struct{}, 1),
	}
}

// clockStepped says that the wall clock was set, or the machine asleep. It does
// not block.
func (c *connection) clockStepped() { poke(c.stepped) }

// link returns the present link. Without one it waits, until ctx ends.
func (c *connection) link(ctx context.Context) (*link, bool) {
	select {
	case l := <-c.links:
		return l, true
	case <-ctx.Done():
		return nil, false
	}
}

// renew asks for a new link in the place of one that seems dead. It returns once
// that is being done; if it cannot be done, the old one stays.
func (c *connection) renew(ctx context.Context, l *link) {
	select {
	case c.renewal <- l:
	case <-l.gone:
	case <-ctx.Done():
	}
}

// run connects, and reconnects, until ctx ends.
func (c *connection) run(ctx context.Context) {
	var l *link
	rush := newRush()
	for ctx.Err() == nil {
		if l == nil {
			if l = c.establish(ctx, rush); l == nil {
				return
			}
		}
		l = c.serve(ctx, l, rush)
	}
	if l != nil {
		l.close()
	}
}

// establish connects, however long it takes. It returns nil when ctx ends. The
// rush may be one that has begun.
func (c *connection) establish(ctx context.Context, rush *rush) *link {
	for {
		l, err := c.dial(ctx)
		if err == nil {
			select {
			case <-c.stepped: // before there was this link
			default:
			}
			return l
		}
		if ctx.Err() != nil {
			return nil
		}
		c.watch.connected(false)
		if errors.Is(err, errChanged) {
			c.retry.reset()
			rush.begin(time.Now())
		}
		wait, rushing := rush.next(time.Now())
		if !rushing {
			c.board.disconnected(err)
			wait = c.retry.failed(transient, time.Now())
		}
		if c.pause(ctx, wait) {
			c.retry.reset()
			rush.begin(time.Now())
		}
	}
}

// pause waits for d, or until ctx ends, or until something is new at the
// socket; it reports whether that was it.
func (c *connection) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-c.watch.changed():
		return true
	}
	return false
}

// dial makes one attempt. One that hangs at a socket that has been replaced is
// given up. If something was new at the socket meanwhile, the error of an
// attempt that failed is errChanged.
func (c *connection) dial(ctx context.Context) (l *link, err error) {
	c.board.connecting()
	socket := c.watch.socket()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l, err = c.dialer.dial(ctx)
	}()
	changed := false
	for dialing := true; dialing; {
		select {
		case <-done:
			dialing = false
		case <-c.watch.changed():
			changed = true
			if now := c.watch.socket(); now.exists() && !now.same(socket) {
				cancel()
			}
		}
	}
	if err != nil {
		if changed && !errors.Is(err, errSilent) {
			err = errChanged
		}
		return nil, err
	}
	l.socket, l.made = socket, time.Now()
	c.board.connected()
	c.watch.connected(true)
	return l, nil
}

var errChanged = errors.New("something is new at the socket")

// serve hands out l until it is gone, and returns nil, or until there is another
// to take its place. After a step of the clock it makes another: then each stream
// begins anew and checks what it has by the new time, and a connection that died
// while the machine was asleep is not waited for.
func (c *connection) serve(ctx context.Context, l *link, rush *rush) *link {
	for {
		select {
		case c.links <- l:
			continue
		case <-ctx.Done():
			return l
		case <-l.gone:
			l.close()
			c.lost(ctx, l, rush)
			return nil
		case <-c.stepped:
			c.board.log.Info("the clock was set, or the machine was asleep: connecting anew to the Workload API")
		case <-c.watch.changed():
			if c.current(l) {
				continue
			}
		case old := <-c.renewal:
			if old != l {
				continue
			}
		}
		if next := c.replace(ctx); next != nil {
			l.close()
			return next
		}
	}
}

// current reports whether l leads to the socket that is there now, if one is.
func (c *connection) current(l *link) bool {
	now := c.watch.socket()
	return !now.exists() || now.same(l.socket)
}

// lost notes the end of a link and waits as the policy says. A link that served
// well is followed by another soon, and if something is new at the socket by then,
// in a rush.
func (c *connection) lost(ctx context.Context, l *link, rush *rush) {
	c.watch.connected(false)
	c.board.disconnected(errLost)
	if first := l.firstAnswer.Load(); first != nil {
		c.retry.good(*first)
	}
	if c.pause(ctx, c.retry.failed(transient, time.Now())) {
		rush.begin(time.Now())
	}
}

var errLost = errors.New("the connection ended")

// replace connects once more while the old link still stands, in a rush: a
// socket that is new may not be ready.
func (c *connection) replace(ctx context.Context) *link {
	rush := newRush()
	rush.begin(time.Now())
	for {
		l, err := c.dial(ctx)
		if err == nil {
			return l
		}
		wait, rushing := rush.next(time.Now())
		if !rushing || ctx.Err() != nil {
			return nil
		}
		c.pause(ctx, wait)
	}
}

// A rush is a short series of attempts, milliseconds apart.
type rush struct {
	until time.Time
	wait  backoff.ExponentialBackOff
}

func newRush() *rush {
	return &rush{wait: exponential(time.Millisecond, 20*time.Millisecond)}
}

func (r *rush) begin(now time.Time) {
	r.until = now.Add(eager)
	r.wait.Reset()
}

// next returns how long to wait for the next attempt, or false if the rush is
// over.
func (r *rush) next(now time.Time) (time.Duration, bool) {
	if !now.Before(r.until) {
		return 0, false
	}
	return r.wait.NextBackOff(), true
}

// causeOf names the cause of a failed attempt in a word, so that a log can tell
// a new one from the old one again.
func causeOf(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case errors.Is(err, fs.ErrPermission):
		return "permission"
	case errors.Is(err, errRefused):
		return "refused"
	default:
		return err.Error()
	}
}
