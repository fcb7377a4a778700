//go:build !linux && !darwin

package hook

import (
	"errors"
	"log/slog"
)

func newSignaller(Spec, *slog.Logger) (target, error) {
	return nil, errors.New("signalling a process is not supported on this system; use a command")
}
