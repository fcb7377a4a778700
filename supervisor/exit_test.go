//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
)

// run runs spec to its end with files that are there from the start.
func run(t *testing.T, spec Spec) error {
	t.Helper()
	s, err := New(spec, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	s.Rotated()
	return s.Run(t.Context())
}

func shell(script string, args ...string) []string {
	return append([]string{"sh", "-c", script, "sh"}, args...)
}

func TestExitStatusOneForOne(t *testing.T) {
	for code := range 256 {
		err := run(t, Spec{Command: shell(fmt.Sprintf("exit %d", code))})
		var exit *ExitError
		switch {
		case code == 0 && err == nil:
		case code == 0 || !errors.As(err, &exit) || exit.Code != code:
			t.Errorf("exit %d: Run returned %v", code, err)
		}
	}
}
