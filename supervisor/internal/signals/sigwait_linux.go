package signals

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// waitsFor reports whether the process's main thread waits for sig in sigwait or
// one of its kin, as tini does. For the time of the call the kernel shows what
// is waited for as not blocked, and yet hands it over instead of ending anybody.
//
// To see that takes the rights of a debugger, which a parent has; without them
// the answer is no.
func (m *Masks) waitsFor(sig syscall.Signal) bool {
	dir := fmt.Sprintf("/proc/%d", m.pid)
	text, err := os.ReadFile(dir + "/syscall")
	if err != nil {
		return false
	}
	var number int
	var set int64 // the address of its first argument
	if n, _ := fmt.Sscanf(string(text), "%d 0x%x", &number, &set); n != 2 || number != unix.SYS_RT_SIGTIMEDWAIT {
		return false
	}
	mem, err := os.Open(dir + "/mem")
	if err != nil {
		return false
	}
	defer mem.Close()
	var waited [8]byte
	if _, err := mem.ReadAt(waited[:], set); err != nil {
		return false
	}
	return sigset(binary.NativeEndian.Uint64(waited[:])).has(sig)
}
