//go:build unix && !linux

package writer

import "os"

// canChown reports whether this process may give files away without asking:
// whether it is root.
func canChown() bool { return os.Geteuid() == 0 }
