//go:build linux && services

package examples_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// byHand reloads the server as a user would, without svidhelper and without a
// rotation, and says how many connections that costs. What the client drops is for
// comparison; any other failure is one.
func (s *service) byHand(reload func() error, c *client) {
	s.t.Helper()
	ctx, stop := context.WithCancel(deadline(s.t, 5*time.Minute))
	defer stop()
	done := make(chan struct{})
	go func() { c.run(ctx, 1); close(done) }()
	c.more(s.t, 2)
	const times = 10
	for range times {
		if err := reload(); err != nil {
			s.t.Fatalf("reload by hand: %v", err)
		}
		c.more(s.t, 5)
	}
	stop()
	<-done
	s.t.Logf("%d reloads by hand: %d new connections, %d dropped", times, c.dials, c.dropped)
}

// dropped tells what becomes of connections whose process ends, or that none has
// accepted.
func dropped(err error) bool {
	return refusedOrReset(err) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// fate is a connection of which it is only said what becomes of it, where the server
// promises nothing.
func (s *service) fate(open hold) hold {
	return func(ctx context.Context) (func() error, error) {
		use, err := open(ctx)
		return func() error {
			if err := use(); err != nil {
				s.t.Logf("a connection that was there before the first rotation has ended: %v", err)
			} else {
				s.t.Log("a connection that was there before the first rotation goes on")
			}
			return nil
		}, err
	}
}

// signal sends a signal to the server, which svidhelper has started.
func (s *service) signal(sig syscall.Signal) func() error {
	return func() error { return syscall.Kill(s.server(), sig) }
}

// server is the process that svidhelper has started.
func (s *service) server() int {
	s.t.Helper()
	pids := s.helper.children()
	if len(pids) != 1 {
		s.t.Fatalf("svidhelper has the children %v", pids)
	}
	return atoi(s.t, pids[0])
}

// command runs a program, which must succeed.
func command(argv ...string) func() error {
	return func() error {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", argv[0], err, out)
		}
		return nil
	}
}
