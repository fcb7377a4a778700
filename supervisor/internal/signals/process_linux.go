package signals

import (
	"bytes"
	"fmt"
	"io"
	"math/bits"
	"os"
	"strconv"
	"syscall"
)

// A Process reads what one process does with signals from its status in /proc.
// The file stays open: it is about this process even if its pid is reused.
type Process struct {
	pid   int
	file  *os.File // nil if there is no /proc
	buf   []byte
	asked sigset // of a Go program: it has called signal.Notify for these
}

// Open opens the status of process pid.
func Open(pid int) *Process {
	p := &Process{pid: pid, buf: make([]byte, 4096)}
	// In a PID namespace whose /proc was not mounted anew, the pids there are
	// other processes'.
	if self, err := os.Readlink("/proc/self"); err == nil && self == strconv.Itoa(os.Getpid()) {
		p.file, _ = os.Open(fmt.Sprintf("/proc/%d/status", pid)) // without it, nothing is seen
	}
	return p
}

// Close closes it.
func (p *Process) Close() {
	if p.file != nil {
		p.file.Close()
	}
}

// Handling returns what the process does with sig.
func (p *Process) Handling(sig syscall.Signal) Handling {
	status := p.status()
	caught, ok := readSigset(status, "\nSigCgt:\t")
	if !ok {
		return Unseen
	}
	ignored, _ := readSigset(status, "\nSigIgn:\t")
	blocked, _ := readSigset(status, "\nSigBlk:\t")
	rests := state(status) == 'S'
	switch {
	case caught.has(sig) && caught.all(goCatches) && !caught.has(goLeaves):
		if caught.has(syscall.SIGCONT) && caught.has(syscall.SIGTTOU) {
			return Caught // the runtime catches these on demand only: the program has asked for all
		}
		return p.inGo(sig)
	case caught.has(sig) && (rests || state(status) == 'T'):
		return Caught
	case caught.has(sig):
		return Busy // a runtime installs its handlers in a row, without a rest
	case blocked.has(sig) && rests:
		return Blocked
	case ignored.has(sig):
		return Ignored
	}
	return Default
}

// status returns the whole file, which has a line for the supplementary groups
// that may be long. It is empty if the process is gone.
func (p *Process) status() []byte {
	if p.file == nil {
		return nil
	}
	for {
		n, err := p.file.ReadAt(p.buf, 0)
		if err == io.EOF {
			return p.buf[:n]
		}
		if err != nil {
			return nil
		}
		p.buf = make([]byte, 2*len(p.buf))
	}
}

// state returns the letter of the process's state (proc(5)).
func state(status []byte) byte {
	_, rest, _ := bytes.Cut(status, []byte("\nState:\t"))
	if len(rest) == 0 {
		return 0
	}
	return rest[0]
}

// The Go runtime catches all signals before the program has asked for any, and
// dies of a SIGHUP that the program has not asked for. It gives itself away by
// the real-time signals, which no other runtime catches, except the one that
// libc may need.
const (
	goCatches = sigset(1<<64 - 1<<34) // signals 35 to 64
	goLeaves  = syscall.Signal(34)
)

// inGo tells what a Go program does with sig. A program that has called
// signal.Notify has a thread that blocks all signals but those that were asked
// for, and those by which people end a program. The threads are looked at until
// they have shown that, and not again.
func (p *Process) inGo(sig syscall.Signal) Handling {
	if p.asked.has(sig) {
		return Caught
	}
	blocked, ok := p.signalThread()
	switch {
	case !ok:
		return Runtime
	case blocked.has(sig):
		return Default // it has asked for others
	}
	p.asked = ^blocked
	return Caught
}

// signalThread returns the signals that the Go program's signal thread blocks, if
// there is one yet.
func (p *Process) signalThread() (blocked sigset, ok bool) {
	dir := fmt.Sprintf("/proc/%d/task", p.pid)
	threads, _ := os.ReadDir(dir) // the process may have ended
	for _, thread := range threads {
		status, err := os.ReadFile(dir + "/" + thread.Name() + "/status")
		if err != nil {
			continue // the thread has ended
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
