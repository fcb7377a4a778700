package signals

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// Parse returns the signal of that name: what Name returns, in any case of
// letters, with SIG or without, or a number.
func Parse(name string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > int(Last) {
			return 0, fmt.Errorf("there is no signal %d, only 1 to %d", n, int(Last))
		}
		return syscall.Signal(n), nil
	}
	if name == "" {
		return 0, errors.New("names no signal")
	}
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	for sig := syscall.Signal(1); sig <= Last; sig++ {
		if Name(sig) == full {
			return sig, nil
		}
	}
	return 0, fmt.Errorf("there is no signal %q", name)
}
