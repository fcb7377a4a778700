package signals

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Around a fork all signals are blocked; that is no habit.
func TestBlockedInTheMiddleOfSomething(t *testing.T) {
	for state, want := range map[string]Handling{
		"S (sleeping)":   HandlingBlocked,
		"R (running)":    HandlingUnclear,
		"D (disk sleep)": HandlingDefault, // of vfork, too
		"T (stopped)":    HandlingDefault,
		"Z (zombie)":     HandlingDefault,
	} {
		if got := blockedIn([]byte("Name:\tS\nUmask:\t0022\nState:\t" + state + "\nTgid:\t1\n")); got != want {
			t.Errorf("%s: handling %d, want %d", state, got, want)
		}
	}
}

// The first of many handlers that a runtime installs is not the program's.
func TestHandlersOfARuntimeThatStarts(t *testing.T) {
	// seen is what is seen of a process that catches those signals, in a state.
	seen := func(caught sigset, state string) Handling {
		path := filepath.Join(t.TempDir(), "status")
		text := fmt.Sprintf("Name:\tx\nState:\t%s\nSigBlk:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n", state, 0, 0, uint64(caught))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return (&Masks{file: f}).Handling(syscall.SIGHUP)
	}
	// A Go program that the kernel lets run no further shows each of them: all
	// that can be caught, but job control's and three that libc may need.
	goInstalls := ^sigset(1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGCONT-1) | 1<<(syscall.SIGSTOP-1) |
		1<<(syscall.SIGTSTP-1) | 1<<(syscall.SIGTTIN-1) | 1<<(syscall.SIGTTOU-1) | 7<<(32-1))
	var caught sigset
	for sig := syscall.Signal(1); sig < 64; sig++ {
		if !goInstalls.has(sig) {
			continue
		}
		caught |= 1 << (sig - 1)
		if got := seen(caught, "R (running)"); got != HandlingPartial {
			t.Errorf("up to %v: handling %d, want %d", sig, got, HandlingPartial)
		}
		if got := seen(caught&^2, "R (running)"); got != HandlingPartial { // under nohup, say
			t.Errorf("up to %v without SIGINT: handling %d, want %d", sig, got, HandlingPartial)
		}
	}
	for name, c := range map[string]struct {
		caught sigset
		state  string
		want   Handling
	}{
		"a shell with a trap, which waits": {1<<0 | 1<<1, "S (sleeping)", HandlingCaught},
		"one that has been stopped":        {1<<0 | 1<<1, "T (stopped)", HandlingCaught},
		"one that is busy":                 {1<<0 | 1<<1, "R (running)", HandlingPartial},
		"a server that waits":              {1<<0 | 1<<1 | 1<<14, "S (sleeping)", HandlingCaught},
		// as seen of bash 5.2, OpenJDK 17 and Ruby 3.1
		"bash with a trap for EXIT":  {0x43817efb, "S (sleeping)", HandlingBash},
		"a Java virtual machine":     {0x101005ccf, "S (sleeping)", HandlingJVM},
		"the same, half started":     {0x101001cc9, "S (sleeping)", HandlingJVM},
		"Ruby":                       {0x42017e4b, "S (sleeping)", HandlingBuiltIn},
		"Ruby, busy loading":         {0x42017e4b, "R (running)", HandlingBuiltIn},
		"no handler for it":          {1 << 1, "R (running)", HandlingDefault},
		"a runtime that has started": {goInstalls, "R (running)", HandlingDefault},
	} {
		if got := seen(c.caught, c.state); got != c.want {
			t.Errorf("%s: handling %d, want %d", name, got, c.want)
		}
	}
}
