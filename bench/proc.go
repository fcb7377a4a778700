//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is what all threads of a process have used, those that ended included.
func cpu(pid int) (time.Duration, error) {
	const schedClock = 2 // of a process, by the scheduler: clock_getcpuclockid(3)
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|schedClock), &t)
	return time.Duration(t.Nano()), err
}

// field reads a number, in the file's unit, of a file of lines "name: number".
func field(file, name string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("%s: no %s", file, name)
}

// resident and proportional are memory in MB (1 MB is 1,000 kB).
func resident(pid int) (float64, error) {
	kb, err := field(fmt.Sprintf("/proc/%d/status", pid), "VmRSS")
	return kb / 1000, err
}

func proportional(pid int) (float64, error) {
	kb, err := field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss")
	return kb / 1000, err
}

// wakeups counts how often the threads of a process have begun to wait.
func wakeups(pid int) (sum float64, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, t := range threads {
		n, err := field(t, "voluntary_ctxt_switches")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, err
}

func descriptors(pid int) (float64, error) {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return float64(len(open)), err
}

func threads(pid int) (float64, error) {
	return field(fmt.Sprintf("/proc/%d/status", pid), "Threads")
}
