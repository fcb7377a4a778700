//go:build linux

package examples_test

import (
	"context"
	"errors"
	"math/big"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A client makes new TLS connections without pause and remembers which serials
// it was served. Every failure is remembered too.
type client struct {
	name string
	// dial makes one connection and returns the leaf's serial, or nil where
	// the client does not show it.
	dial func(context.Context) (*big.Int, error)
	// blind says that dial never returns a serial.
	blind bool
	// drops, unless nil, tells failures that the server is known for.
	drops func(error) bool
	// pause is how long it waits before the next connection.
	pause time.Duration

	mu       sync.Mutex
	seen     map[string]bool
	dials    int
	dropped  int
	failures []error
	drop     error         // why the last one was dropped, if it was
	good     time.Time     // when a connection was made last
	outage   time.Duration // the longest that drops have kept the next one away
	changed  chan struct{} // closed and replaced at each connection
}

func newClient(name string, dial func(context.Context) (*big.Int, error)) *client {
	return &client{name: name, dial: dial, seen: map[string]bool{}, changed: make(chan struct{})}
}

// run dials from several goroutines until ctx ends, and returns when they have.
func (c *client) run(ctx context.Context, parallel int) {
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for ctx.Err() == nil {
				serial, err := c.dial(ctx)
				if ctx.Err() != nil {
					return
				}
				c.note(serial, err)
				pause := c.pause
				if errors.Is(err, syscall.ECONNREFUSED) {
					// A refusal takes no time, and the server needs the machine.
					pause = max(pause, 5*time.Millisecond)
				}
				time.Sleep(pause)
			}
		})
	}
	wg.Wait()
}

func (c *client) note(serial *big.Int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials++
	switch {
	case err != nil && c.drops != nil && c.drops(err):
		c.dropped++
		c.drop = err
	case err != nil:
		c.failures = append(c.failures, err)
	case serial != nil:
		c.seen[serial.Text(16)] = true
	}
	if err == nil {
		now := time.Now()
		if c.drop != nil && !c.good.IsZero() {
			c.outage = max(c.outage, now.Sub(c.good))
		}
		c.good, c.drop = now, nil
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until the client was served the serial.
func (c *client) await(t *testing.T, serial *big.Int) {
	t.Helper()
	c.until(t, "serial "+serial.Text(16), func() bool { return c.seen[serial.Text(16)] })
}

// more waits until the client has made n more connections, and returns how many
// were dropped so far.
func (c *client) more(t *testing.T, n int) (dropped int) {
	t.Helper()
	enough := -1
	c.until(t, "more connections", func() bool {
		if enough < 0 {
			enough = c.dials + n
		}
		dropped = c.dropped
		return c.dials >= enough
	})
	return dropped
}

// until waits until it is so, which is asked under the lock.
func (c *client) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		so, failures, changed := is(), c.failures, c.changed
		c.mu.Unlock()
		if len(failures) > 0 {
			t.Fatalf("%s: a connection failed: %v", c.name, failures[0])
		}
		if so {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%s: no %s within %v", c.name, what, patience)
		}
	}
}

// awaitListener waits until somebody answers at the address.
func awaitListener(t *testing.T, dial func(context.Context) (*big.Int, error), p *running) {
	t.Helper()
	ctx := deadline(t, 2*patience)
	for {
		_, err := dial(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nobody answers: %v", err)
		case <-p.done:
			t.Fatalf("ended before it listened: %v", p.cmd.ProcessState)
		case <-time.After(20 * time.Millisecond): // the server offers no event
		}
	}
}
