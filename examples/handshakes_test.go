package examples_test

import (
	"context"
	"crypto/tls"
	"math/big"
	"sync"
	"testing"
	"time"
)

// A client makes new TLS connections without pause and remembers which serials
// it was served. Every failure is remembered too.
type client struct {
	dial func(context.Context) (*big.Int, error)

	mu       sync.Mutex
	seen     map[string]bool
	dials    int
	failures []error
	changed  chan struct{} // closed and replaced when seen or failures grow
}

func newClient(dial func(context.Context) (*big.Int, error)) *client {
	return &client{dial: dial, seen: map[string]bool{}, changed: make(chan struct{})}
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
	case err != nil:
		c.failures = append(c.failures, err)
	case c.seen[serial.Text(16)]:
		return
	default:
		c.seen[serial.Text(16)] = true
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until the client was served the serial.
func (c *client) await(t *testing.T, serial *big.Int, within time.Duration) {
	t.Helper()
	timeout := time.After(within)
	for {
		c.mu.Lock()
		seen, failures, changed := c.seen[serial.Text(16)], c.failures, c.changed
		c.mu.Unlock()
		if len(failures) > 0 {
			t.Fatalf("a connection failed: %v", failures[0])
		}
		if seen {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("serial %x was not served within %v", serial, within)
		}
	}
}

// tlsDial returns a dial function that completes a handshake, the peer's chain
// verified as config says, and returns the leaf's serial.
func tlsDial(address string, config *tls.Config) func(context.Context) (*big.Int, error) {
	dialer := &tls.Dialer{Config: config}
	return func(ctx context.Context) (*big.Int, error) {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber, nil
	}
}

// awaitListener waits until somebody answers at the address.
func awaitListener(t *testing.T, dial func(context.Context) (*big.Int, error), p *running) {
	t.Helper()
	ctx := deadline(t, 30*time.Second)
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
