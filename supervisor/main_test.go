//go:build unix

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// helperSpec is the environment variable that makes the test binary the
// smallest program around a Supervisor that does what the product does: it
// runs the Spec in that variable and ends with the process's status.
const helperSpec = "SUPERVISOR_TEST_SPEC"

func TestMain(m *testing.M) {
	if spec := os.Getenv(helperSpec); spec != "" {
		os.Unsetenv(helperSpec)
		os.Exit(helper(spec))
	}
	goleak.VerifyTestMain(m)
}

// helper publishes at once, and again on each SIGUSR1 if spec's rewriting drops
// that, so that a test can rotate from outside.
func helper(jsonSpec string) int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, Signals()...)
	var spec Spec
	if err := json.Unmarshal([]byte(jsonSpec), &spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	level := slog.LevelError
	if os.Getenv("SUPERVISOR_TEST_VERBOSE") != "" {
		level = slog.LevelDebug
	}
	s, err := New(spec, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	if err == nil {
		s.Rotated()
		go func() {
			for sig := range signals {
				if to, is := spec.SignalRewrite[syscall.SIGUSR1]; sig == syscall.SIGUSR1 && is && to == 0 {
					s.Rotated()
				}
				s.Signal(sig.(syscall.Signal))
			}
		}()
		err = s.Run(context.Background())
	}
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		if exit.Err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return exit.Code
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
