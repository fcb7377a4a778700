package supervisor

import (
	"bytes"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"syscall"
)

// masks reads what a process does with signals from its status in /proc. The
// file stays open: it belongs to this process even if its pid changes hands.
type masks struct {
	file *os.File // nil if there is no /proc
	buf  [4096]byte
}

func openMasks(pid int) *masks {
	// In a PID namespace whose /proc was not mounted anew, the pids there are
	// other processes'.
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return &masks{}
	}
	f, _ := os.Open(fmt.Sprintf("/proc/%d/status", pid)) // without it, nothing is seen
	return &masks{file: f}
}

func (m *masks) close() {
	if m.file != nil {
		m.file.Close()
	}
}

// catchesAll is how many caught signals mean a language runtime that catches
// all of them before the program has asked for any. Go's does: its programs die
// of a SIGHUP that they have not subscribed to although it is caught.
const catchesAll = 48

func (m *masks) handling(sig syscall.Signal) handling {
	if m.file == nil {
		return handlingUnseen
	}
	n, _ := m.file.ReadAt(m.buf[:], 0)
	status := m.buf[:n]
	caught, ok := mask(status, "\nSigCgt:\t")
	ignored, _ := mask(status, "\nSigIgn:\t")
	blocked, _ := mask(status, "\nSigBlk:\t")
	bit := uint64(1) << (sig - 1)
	switch {
	case !ok:
		return handlingUnseen
	case bits.OnesCount64(caught) >= catchesAll && caught&bit != 0:
		return handlingUnseen
	case caught&bit != 0:
		return handlingCaught
	case blocked&bit != 0:
		return handlingBlocked
	case ignored&bit != 0:
		return handlingIgnored
	}
	return handlingDefault
}

// mask returns the signal set in the line of status that starts with key.
func mask(status []byte, key string) (set uint64, ok bool) {
	_, rest, ok := bytes.Cut(status, []byte(key))
	if !ok {
		return 0, false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	set, err := strconv.ParseUint(string(line), 16, 64)
	return set, err == nil
}
