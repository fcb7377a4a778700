package signals

import (
	"bytes"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"syscall"
)

// A Masks reads what a process does with signals from its status in /proc. The
// file stays open: it belongs to this process even if its pid changes hands.
type Masks struct {
	pid  int
	file *os.File // nil if there is no /proc
	buf  [4096]byte
}

func OpenMasks(pid int) *Masks {
	m := &Masks{pid: pid}
	// In a PID namespace whose /proc was not mounted anew, the pids there are
	// other processes'.
	if self, err := os.Readlink("/proc/self"); err == nil && self == strconv.Itoa(os.Getpid()) {
		m.file, _ = os.Open(fmt.Sprintf("/proc/%d/status", pid)) // without it, nothing is seen
	}
	return m
}

func (m *Masks) Close() {
	if m.file != nil {
		m.file.Close()
	}
}

func (m *Masks) Handling(sig syscall.Signal) Handling {
	if m.file == nil {
		return HandlingUnseen
	}
	n, _ := m.file.ReadAt(m.buf[:], 0)
	status := m.buf[:n]
	caught, ok := readSigset(status, "\nSigCgt:\t")
	if !ok {
		return HandlingUnseen
	}
	ignored, _ := readSigset(status, "\nSigIgn:\t")
	blocked, _ := readSigset(status, "\nSigBlk:\t")
	switch {
	case caught.has(sig) && caught.all(goCatches) && !caught.has(goLeaves):
		return m.goHandling(caught, sig)
	case caught.has(sig):
		return catching(caught, sig, sleeps(status) || inState(status, 'T'))
	case blocked.has(sig):
		return blockedIn(status)
	case sleeps(status) && m.waitsFor(sig):
		return HandlingBlocked
	case ignored.has(sig):
		return HandlingIgnored
	}
	return HandlingDefault
}

// blockedIn tells who waits for signals from who is in the middle of something.
// The C library blocks all signals around a fork. On a busy machine that can
// take a while, but not in the state of one who sleeps: who forks waits for the
// processor, who vforks is not even interruptible.
func blockedIn(status []byte) Handling {
	switch {
	case sleeps(status):
		return HandlingBlocked
	case inState(status, 'R'):
		return HandlingUnclear
	}
	return HandlingDefault
}

// sleeps reports whether a process waits for something that is not a disk.
func sleeps(status []byte) bool { return inState(status, 'S') }

func inState(status []byte, letter byte) bool {
	_, state, _ := bytes.Cut(status, []byte("\nState:\t"))
	return len(state) > 0 && state[0] == letter
}

// catching tells whose the handler for sig is in a process that catches those,
// and rests or has been stopped, or is busy.
func catching(caught sigset, sig syscall.Signal, rests bool) Handling {
	for _, r := range runtimes {
		// Go, which comes by SIGURG before it is through, may come by all of these.
		if r.ends.has(sig) && caught.all(r.catches) && !caught.has(syscall.SIGURG) {
			return r.Handling
		}
	}
	switch {
	case !rests:
		// A runtime installs many in a row. It takes no rest before it is through.
		return HandlingPartial
	case caught.len() >= catchesAll:
		return HandlingUnseen
	}
	return HandlingCaught
}

// catchesAll is how many caught signals mean that somebody catches all of them,
// whatever the program makes of them.
const catchesAll = 48

// runtimes are those that catch what ends a program, to end it in an orderly
// way, whether or not the program has a handler of its own. Each is known by
// what it catches, which no server does of its own accord; one that catches all
// that another does comes first.
var runtimes = []struct {
	Handling      Handling
	catches, ends sigset
}{
	// bash, from a script's trap for EXIT on.
	{HandlingBash, faults | pipes | 1<<(syscall.SIGTRAP-1) | 1<<(syscall.SIGXCPU-1) | 1<<(syscall.SIGXFSZ-1), ^sigset(0)},
	// Java's virtual machine, which adds what ends the program later than the rest.
	{HandlingJVM, faults | pipes | 1<<(syscall.SIGFPE-1) | 1<<(syscall.SIGXFSZ-1), 1 << (syscall.SIGHUP - 1)},
	// Ruby, from the start.
	{HandlingBuiltIn, faults | pipes | users | 1<<(syscall.SIGALRM-1) | 1<<(syscall.SIGVTALRM-1), users | 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGALRM-1)},
}

const (
	faults = sigset(1<<(syscall.SIGILL-1) | 1<<(syscall.SIGBUS-1) | 1<<(syscall.SIGSEGV-1))
	pipes  = sigset(1 << (syscall.SIGPIPE - 1)) // servers ignore it
	users  = sigset(1<<(syscall.SIGUSR1-1) | 1<<(syscall.SIGUSR2-1))
)

// The Go runtime catches all signals before the program has asked for any, and
// dies of a SIGHUP that the program has not asked for. It gives itself away by
// the real-time signals, which nobody else catches, except the one that libc
// may need.
const (
	goCatches = sigset(1<<64 - 1<<34) // signals 35 to 64
	goLeaves  = syscall.Signal(34)
)

// What the program has asked for shows in three places. SIGCONT and SIGTTOU are
// caught only on demand: who has asked for these has asked for all. os/signal
// has a thread of its own that blocks all that nobody has asked for, except
// those by which people end a program. And for these there is its memory.
func (m *Masks) goHandling(caught sigset, sig syscall.Signal) Handling {
	if caught.has(syscall.SIGCONT) && caught.has(syscall.SIGTTOU) {
		return HandlingCaught
	}
	blocked, ok := m.goSignalThread()
	switch {
	case !ok:
		return HandlingDefault // it has asked for none
	case blocked.has(sig):
		return HandlingDefault // for others
	case !goNeverBlocks.has(sig):
		return HandlingCaught
	}
	switch wanted, ok := goWanted(m.pid, blocked); {
	case !ok:
		return HandlingGo // for some, and perhaps for this one
	case wanted.has(sig):
		return HandlingCaught
	}
	return HandlingDefault
}

// goNeverBlocks are the signals that a Go program's signal thread does not block
// even if nobody has asked for them.
const goNeverBlocks = 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) |
	1<<(syscall.SIGABRT-1) | sigset(1<<(syscall.SIGTERM-1))

// goSignalThread returns the signals that the process's signal thread blocks,
// if there is one yet.
func (m *Masks) goSignalThread() (blocked sigset, ok bool) {
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
