package source

import (
	"context"
	"flag"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

func TestMain(m *testing.M) {
	// Keys and signatures are new in each run, so coverage never repeats
	// exactly and minimizing would take all of the time for fuzzing.
	if err := flag.Set("test.fuzzminimizetime", "10x"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

// run runs s until the test ends or stop is called; its error is returned by
// stop.
func run(t *testing.T, s *Source) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			t.Fatal("Run does not return")
			return nil
		}
	}
	t.Cleanup(func() { stop() })
	return stop
}

// await waits until holds is true of the source.
func await(t *testing.T, s *Source, what string, holds func(*snapshot.Snapshot, *Status) bool) {
	t.Helper()
	deadline := time.After(patience)
	for !holds(s.Status().Snapshot, s.Status()) {
		select {
		case <-s.Updates():
		case <-deadline:
			t.Fatalf("waited for %s, in vain: %+v", what, s.Status())
		}
	}
}

// logger logs to the test.
func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
