package child

import (
	"os"
	"slices"
	"strings"
)

// Environ is the helper's environment without what systemd has put there for the
// helper itself: a process that found it would speak in the helper's place.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC" || name == "WATCHDOG_PID"
	})
}
