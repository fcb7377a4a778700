package signals

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
)

// goWanted returns the signals that the Go program pid asks for. Whether SIGHUP
// is one of them, nothing outside its memory tells, and to guess may end it.
//
// The runtime keeps them in the variable that this looks for, by its shape, in
// the section of the variables without pointers, which programs that were
// stripped of their symbols still have. What waits for signals sleeps, so that
// most of it is known: zero but for what is asked for or ignored, and
//
//	note       uintptr    0 of who sleeps
//	mask       [3]uint32  0, signals that have come
//	wanted     [3]uint32  the thread for signals, which blocks the others, agrees
//	ignored    [3]uint32
//	recv       [3]uint32  0
//	state      uint32     1, receiving
//	delivering uint32     0
//	inuse      bool       true
//
// It is not ok unless there is exactly one such place, as with a program that is
// receiving a signal right now, is not for 64 bits, or whose memory the helper
// may not read.
func goWanted(pid int, blocked sigset) (wanted sigset, ok bool) {
	section, order, err := goVariables(pid)
	if err != nil {
		return 0, false
	}
	found := 0
	for ; len(section) >= goSignalsSize; section = section[8:] {
		if w, is := goSignals(section[:goSignalsSize], order); is && (w^^blocked)&goTells == 0 {
			wanted = w
			found++
		}
	}
	return wanted, found == 1
}

const goSignalsSize = 68

// goTells are the signals that the thread for signals blocks unless they are
// asked for, on whatever release.
const goTells = goCatches | users

// goSignals reads the variable from memory, if that has its shape.
func goSignals(memory []byte, order binary.ByteOrder) (wanted sigset, is bool) {
	if memory[64] != 1 { // inuse
		return 0, false
	}
	var words [goSignalsSize / 4]uint32
	for i := range words {
		words[i] = order.Uint32(memory[4*i:])
	}
	known := [...]struct {
		at   int
		want uint32
	}{
		{0, 0}, {1, 0}, // note
		{2, 0}, {3, 0}, {4, 0}, // mask
		{11, 0}, {12, 0}, {13, 0}, // recv
		{14, 1}, // state
		{15, 0}, // delivering
	}
	for _, k := range known {
		if words[k.at] != k.want {
			return 0, false
		}
	}
	if words[7]|words[10] > 1 || words[5]&1 != 0 {
		return 0, false
	}
	// Signal 0 has a bit here.
	set := uint64(words[5])>>1 | uint64(words[6])<<31 | uint64(words[7])<<63
	ignored := uint64(words[8])>>1 | uint64(words[9])<<31 | uint64(words[10])<<63
	return sigset(set), bits.OnesCount64(set) > 0 && set&ignored == 0
}

// goVariables returns the variables without pointers of the Go program pid.
func goVariables(pid int) ([]byte, binary.ByteOrder, error) {
	exe, err := elf.Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return nil, nil, err
	}
	defer exe.Close()
	section := exe.Section(".noptrbss")
	if section == nil || exe.Class != elf.ELFCLASS64 {
		return nil, nil, fmt.Errorf("process %d is no Go program of a kind that is known", pid)
	}
	entry, err := entryOf(pid, exe.ByteOrder)
	if err != nil {
		return nil, nil, err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, nil, err
	}
	defer memory.Close()
	// The smallest come first. A race detector's may take tens of megabytes.
	variables := make([]byte, min(section.Size, 1<<20))
	at := section.Addr + (entry - exe.Entry) // a program may be anywhere
	if at > math.MaxInt64 {
		return nil, nil, fmt.Errorf("process %d: no variables at %#x", pid, at)
	}
	_, err = io.ReadFull(io.NewSectionReader(memory, int64(at), int64(len(variables))), variables)
	return variables, exe.ByteOrder, err
}

// entryOf returns where the program of process pid begins.
func entryOf(pid int, order binary.ByteOrder) (uint64, error) {
	vector, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, err
	}
	const atEntry = 9
	for ; len(vector) >= 16; vector = vector[16:] {
		if order.Uint64(vector) == atEntry {
			return order.Uint64(vector[8:]), nil
		}
	}
	return 0, fmt.Errorf("process %d: no entry point in its auxiliary vector", pid)
}
