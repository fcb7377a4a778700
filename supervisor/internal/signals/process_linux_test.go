package signals

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// shown is what is seen of a process with that status.
func shown(t *testing.T, status string) Handling {
	t.Helper()
	path := filepath.Join(t.TempDir(), "status")
	if err := os.WriteFile(path, []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return (&Process{file: f, buf: make([]byte, 4096)}).Handling(syscall.SIGHUP)
}

func status(state string, blocked, ignored, caught sigset) string {
	return fmt.Sprintf("Name:\tx\nState:\t%s\nSigBlk:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n", state, uint64(blocked), uint64(ignored), uint64(caught))
}

func TestHandlingByStatus(t *testing.T) {
	const hup, sleeps, runs = sigset(1), "S (sleeping)", "R (running)"
	for _, c := range []struct {
		what, status string
		want         Handling
	}{
		{"a shell with a trap, which waits", status(sleeps, 0, 0, hup), Caught},
		{"one that was stopped", status("T (stopped)", 0, 0, hup), Caught},
		{"one that is busy", status(runs, 0, 0, hup), Busy},
		{"bash with a trap for EXIT", status(sleeps, 0, 0, 0x43817efb), Caught},
		{"a Java virtual machine", status(sleeps, 0, 0, 0x101005ccf), Caught},
		{"no handler for it", status(runs, 0, 0, 2), Default},
		{"ignored", status(sleeps, 0, hup, 0), Ignored},
		{"blocked in one that waits", status(sleeps, hup, 0, 0), Blocked},
		{"blocked in the middle of a fork", status(runs, hup, 0, 0), Default},
		{"blocked in the middle of a vfork", status("D (disk sleep)", hup, 0, 0), Default},
		{"a process that is gone", "", Unseen},
	} {
		if got := shown(t, c.status); got != c.want {
			t.Errorf("%s: handling %d, want %d", c.what, got, c.want)
		}
	}
}

// With some hundred supplementary groups the masks stood behind what was read:
// the process was signalled blindly, and died.
func TestStatusWithManyGroups(t *testing.T) {
	groups := "Groups:\t" + strings.Repeat("1000000 ", 65536) + "\n"
	text := "Name:\tx\nState:\tS (sleeping)\n" + groups + "SigBlk:\t0\nSigIgn:\t0\nSigCgt:\t0\n"
	if got := shown(t, text); got != Default {
		t.Errorf("handling %d, want %d", got, Default)
	}
}

// A Go program that the kernel lets run no further, while its runtime installs
// its handlers, shows each of them.
func TestHandlersOfAGoRuntimeThatStarts(t *testing.T) {
	installs := ^sigset(1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGCONT-1) | 1<<(syscall.SIGSTOP-1) |
		1<<(syscall.SIGTSTP-1) | 1<<(syscall.SIGTTIN-1) | 1<<(syscall.SIGTTOU-1) | 7<<(32-1))
	var caught sigset
	for sig := syscall.Signal(1); sig < 64; sig++ {
		if !installs.has(sig) {
			continue
		}
		caught |= 1 << (sig - 1)
		if got := shown(t, status("R (running)", 0, 0, caught)); got != Busy {
			t.Errorf("up to %v: handling %d, want %d", sig, got, Busy)
		}
	}
	if got := shown(t, status("R (running)", 0, 0, installs)); got != Runtime {
		t.Errorf("all: handling %d, want %d", got, Runtime)
	}
}
