package supervisor

import (
	"bytes"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"syscall"
)

// A masks reads what a process does with signals from its status in /proc. The
// file stays open: it belongs to this process even if its pid changes hands.
type masks struct {
	pid  int
	file *os.File // nil if there is no /proc
	buf  [4096]byte
}

func openMasks(pid int) *masks {
	m := &masks{pid: pid}
	// In a PID namespace whose /proc was not mounted anew, the pids there are
	// other processes'.
	if self, err := os.Readlink("/proc/self"); err == nil && self == strconv.Itoa(os.Getpid()) {
		m.file, _ = os.Open(fmt.Sprintf("/proc/%d/status", pid)) // without it, nothing is seen
	}
	return m
}

func (m *masks) close() {
	if m.file != nil {
		m.file.Close()
	}
}

func (m *masks) handling(sig syscall.Signal) handling {
	if m.file == nil {
		return handlingUnseen
	}
	n, _ := m.file.ReadAt(m.buf[:], 0)
	status := m.buf[:n]
	caught, ok := readSigset(status, "\nSigCgt:\t")
	if !ok {
		return handlingUnseen
	}
	ignored, _ := readSigset(status, "\nSigIgn:\t")
	blocked, _ := readSigset(status, "\nSigBlk:\t")
	switch {
	case caught.has(sig) && goStarts(caught) && !sleeps(status):
		return handlingPartial
	case caught.has(sig) && caught.all(goCatches) && !caught.has(goLeaves):
		return m.goHandling(caught, sig)
	case caught.has(sig) && caught.len() >= catchesAll:
		return handlingUnseen
	case caught.has(sig):
		return handlingCaught
	case blocked.has(sig):
		return blockedIn(status)
	case ignored.has(sig):
		return handlingIgnored
	}
	return handlingDefault
}

// blockedIn tells who waits for signals from who is in the middle of something.
// The C library blocks all signals around a fork. On a busy machine that can
// take a while, but not in the state of one who sleeps: who forks waits for the
// processor, who vforks is not even interruptible.
func blockedIn(status []byte) handling {
	switch {
	case sleeps(status):
		return handlingBlocked
	case inState(status, 'R'):
		return handlingUnclear
	}
	return handlingDefault
}

// sleeps reports whether a process waits for something that is not a disk.
func sleeps(status []byte) bool { return inState(status, 'S') }

func inState(status []byte, letter byte) bool {
	_, state, _ := bytes.Cut(status, []byte("\nState:\t"))
	return len(state) > 0 && state[0] == letter
}

// catchesAll is how many caught signals mean that somebody catches all of them,
// whatever the program makes of them.
const catchesAll = 48

// The Go runtime catches all signals before the program has asked for any, and
// dies of a SIGHUP that the program has not asked for. It gives itself away by
// the real-time signals, which nobody else catches, except the one that libc
// may need.
const (
	goCatches = sigset(1<<64 - 1<<34) // signals 35 to 64
	goLeaves  = syscall.Signal(34)
)

// goInstalls are all the signals that the runtime catches at the start: those
// that can be caught, except job control's and three that libc may need.
const goInstalls = ^sigset(1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGCONT-1) | 1<<(syscall.SIGSTOP-1) |
	1<<(syscall.SIGTSTP-1) | 1<<(syscall.SIGTTIN-1) | 1<<(syscall.SIGTTOU-1) | 7<<(32-1))

// goStarts reports whether those signals are caught that the runtime catches
// first, in the order of their numbers, and not yet the rest. It takes no rest
// before it is through, which tells it from a program that handles SIGHUP and
// SIGINT and nothing else. A SIGHUP or SIGINT that is ignored stays ignored.
func goStarts(caught sigset) bool {
	const mayBeIgnored = 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1)
	first := goInstalls & (1<<bits.Len64(uint64(caught)) - 1)
	return caught|mayBeIgnored == first|mayBeIgnored && first != goInstalls
}

// What the program has asked for shows in two places. os/signal has a thread of
// its own that blocks all that nobody has asked for, except those by which
// people end a program. And SIGCONT and SIGTTOU are caught only on demand: who
// has asked for these has asked for all.
func (m *masks) goHandling(caught sigset, sig syscall.Signal) handling {
	if caught.has(syscall.SIGCONT) && caught.has(syscall.SIGTTOU) {
		return handlingCaught
	}
	blocked, ok := m.goSignalThread()
	switch {
	case !ok:
		return handlingDefault // it has asked for none
	case blocked.has(sig):
		return handlingDefault // for others
	case goNeverBlocks.has(sig):
		return handlingRuntime // for some, and perhaps for this one
	}
	return handlingCaught
}

// goNeverBlocks are the signals that a Go program's signal thread does not block
// even if nobody has asked for them.
const goNeverBlocks = 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) |
	1<<(syscall.SIGABRT-1) | sigset(1<<(syscall.SIGTERM-1))

// goSignalThread returns the signals that the process's signal thread blocks,
// if there is one yet.
func (m *masks) goSignalThread() (blocked sigset, ok bool) {
	dir := fmt.Sprintf("/proc/%d/task", m.pid)
	threads, _ := os.ReadDir(dir) // the process may have ended
	for _, thread := range threads {
		status, err := os.ReadFile(dir + "/" + thread.Name() + "/status")
		if err != nil {
			continue // the thread has
		}
		blocked, ok := readSigset(status, "\nSigBlk:\t")
		if ok && (blocked&goCatches).len() > goCatches.len()/2 {
			return blocked, true
		}
	}
	return 0, false
}

// A sigset is a set of signals as the kernel writes it: signal n is bit n-1.
type sigset uint64

func (s sigset) has(sig syscall.Signal) bool { return s&(1<<(sig-1)) != 0 }
func (s sigset) all(of sigset) bool          { return s&of == of }
func (s sigset) len() int                    { return bits.OnesCount64(uint64(s)) }

// readSigset returns the set in the line of status that starts with key.
func readSigset(status []byte, key string) (set sigset, ok bool) {
	_, rest, ok := bytes.Cut(status, []byte(key))
	if !ok {
		return 0, false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseUint(string(line), 16, 64)
	return sigset(n), err == nil
}
