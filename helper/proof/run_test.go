package proof

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

// Stopping does not wait for a service that does not answer.
func TestProveStopsAtOnce(t *testing.T) {
	for starttls := range protocols {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		p := prover(t, Config{TLS: ln.Addr().String(), StartTLS: starttls})
		done := make(chan error)
		go func() {
			_, err := p.Run(ctx, wanted(issue(t, 1)), func(Escalation) error { panic("escalated") })
			done <- err
		}()
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", starttls, err)
		}
		if took := time.Since(began); took > tryTimeout*3/4 {
			t.Errorf("%q: stop took %v", starttls, took)
		}
		conn.Close()
		ln.Close()
	}
}

func TestRunEscalatesInOrder(t *testing.T) {
	t.Parallel()
	before, after := issue(t, 1), issue(t, 2)
	for _, c := range []struct {
		name string
		do   func(s *service, e Escalation) error
		want string
	}{
		{"signal helps", func(s *service, e Escalation) error {
			if e == EscalateSignal {
				s.cert.Store(after)
			}
			return nil
		}, "true [signal]"},
		{"restart helps", func(s *service, e Escalation) error {
			if e == EscalateRestart {
				s.cert.Store(after)
			}
			return nil
		}, "true [signal restart]"},
		{"signal fails", func(s *service, e Escalation) error {
			if e == EscalateSignal {
				return errors.New("no such process")
			}
			s.cert.Store(after)
			return nil
		}, "true [signal restart]"},
		{"nothing helps", func(*service, Escalation) error { return nil }, "false [signal restart]"},
	} {
		unhurried(t, 100*time.Millisecond, func(timeout time.Duration) error {
			s := serve(t, "tcp", "127.0.0.1:0", before, nil)
			p := prover(t, Config{
				TLS:       s.address(),
				Timeout:   timeout,
				OnFailure: []Escalation{EscalateSignal, EscalateRestart},
			})
			r, err := p.Run(t.Context(), wanted(after), func(e Escalation) error { return c.do(s, e) })
			if err != nil {
				failure(t, err)
			}
			if r.Attempts < len(r.Escalated) || (err == nil) != r.Proven {
				t.Errorf("%s: %d attempts for %d escalations: %+v, %v", c.name, r.Attempts, len(r.Escalated), r, err)
			}
			if got := fmt.Sprint(r.Proven, " ", r.Escalated); got != c.want {
				return fmt.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
			}
			return nil
		})
	}
}
