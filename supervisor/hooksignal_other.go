//go:build !linux && !darwin

package supervisor

import (
	"errors"
	"log/slog"
)

func newHookSignal(HookSpec, *slog.Logger) (hookTarget, error) {
	return nil, errors.New("signalling a process is not supported on this system; use a command")
}
