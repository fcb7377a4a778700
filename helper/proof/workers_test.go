package proof

import (
	"crypto/tls"
	"errors"
	"math"
	"testing"
	"time"
)

// TestInARow: what is said of the chance is so, for any number of workers, and
// however often a service is looked at.
func TestInARow(t *testing.T) {
	for _, n := range []int{2, 3, 4, 8, 33, MaxWorkers} {
		missed := 0.0
		for looks := range 1000 {
			missed += math.Pow(1-1/float64(n), float64(inARow(n, looks)))
		}
		if missed > chance || missed < chance/5 {
			t.Errorf("one of %d workers is missed %v times", n, missed)
		}
	}
	for n, want := range map[int]int{0: 1, 1: 1, 2: 11, 4: 27, MaxWorkers: 483} {
		if got := inARow(n, 0); got != want {
			t.Errorf("%d connections for %d workers, want %d", got, n, want)
		}
	}
	if got := inARow(4, 1000); got > 100 {
		t.Errorf("%d connections after a thousand looks", got)
	}
}

// serveInTurn is a service of four workers, of which one has the certificate of
// before for its first looks connections.
func serveInTurn(t *testing.T, before, after *tls.Certificate, looks int) *service {
	return serve(t, "tcp", "127.0.0.1:0", after, func(s *service) {
		behind := 0
		s.config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.conns%4 == 0 && behind < looks {
				behind++
				return before, nil
			}
			return after, nil
		}
	})
}

// TestWorkers: one connection shows the new certificate when three of four workers
// have it; a row of them waits for the last worker.
func TestWorkers(t *testing.T) {
	t.Parallel()
	before, after := issue(t, 1), issue(t, 2)
	s := serveInTurn(t, before, after, 1000)
	if r, err := prover(t, Config{TLS: s.address()}).Prove(t.Context(), wanted(after)); err != nil || r.Attempts != 1 {
		t.Errorf("without workers: %+v, %v", r, err)
	}
	const looks = 3
	s = serveInTurn(t, before, after, looks)
	r, err := prover(t, Config{TLS: s.address(), Workers: 4, Timeout: patience}).Prove(t.Context(), wanted(after))
	if err != nil || r.Attempts != 4*looks+inARow(4, looks) {
		t.Errorf("with four workers: %+v, %v", r, err)
	}
	s.sawOneAtATime(t)
	t.Logf("%d connections, %v", r.Attempts, r.Latency)
}

// TestWorkerThatStaysBehind is found out, and named for what it serves.
func TestWorkerThatStaysBehind(t *testing.T) {
	t.Parallel()
	before, after := issue(t, 1), issue(t, 2)
	s := serveInTurn(t, before, after, math.MaxInt)
	unhurried(t, 200*time.Millisecond, func(timeout time.Duration) error {
		p := prover(t, Config{TLS: s.address(), Workers: 4, Timeout: timeout})
		_, err := p.Prove(t.Context(), wanted(after))
		if e := failure(t, err); e.Served != "01" || e.Right || e.Err != nil {
			return err
		}
		look, err := p.Look(t.Context(), wanted(after), Result{})
		if e := failure(t, err); e.Served != "01" || look.Attempts > 4 {
			return errors.Join(errors.New("a look goes on after an old certificate"), err)
		}
		return nil
	})
}
