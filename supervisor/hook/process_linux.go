package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// userHZ is the unit in which the kernel tells times to user space; it is 100
// on every architecture that Go supports.
const userHZ = 100

// truncateName returns what the kernel keeps of a name (TASK_COMM_LEN).
func truncateName(name string) string { return name[:min(len(name), 15)] }

// lookUpProcess returns what /proc says about a process.
func lookUpProcess(pid int) (process, error) {
	p := process{pid: pid}
	if err := ownProc(); err != nil {
		return p, err
	}
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err == nil {
		err = p.readStat(stat)
	}
	if err == nil {
		stat, err = os.ReadFile(dir + "/status")
	}
	if err == nil {
		err = p.readStatus(stat)
	}
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
		return p, errGone
	default:
		return p, err
	}
}

// readStat reads /proc/pid/stat (proc(5)). The name in it is in parentheses and
// can hold parentheses and spaces itself.
func (p *process) readStat(stat []byte) error {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return fmt.Errorf("/proc/%d/stat is not understood", p.pid)
	}
	p.name = string(stat[open+1 : end])
	fields := strings.Fields(string(stat[end+1:])) // from field 3 on
	if len(fields) < 20 {
		return fmt.Errorf("/proc/%d/stat is not understood", p.pid)
	}
	p.dead = strings.Contains("ZXx", fields[0])
	p.parent, _ = strconv.Atoi(fields[1])
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return fmt.Errorf("/proc/%d/stat: start time: %w", p.pid, err)
	}
	p.born = ticks
	boot, err := bootTime()
	p.boot, p.started = boot, boot.Add(time.Duration(ticks)*(time.Second/userHZ))
	return err
}

// bootTime returns the moment from which the kernel counts the starts of
// processes, on the wall clock as it goes now: files are stamped by that clock.
func bootTime() (time.Time, error) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, fmt.Errorf("read the time since boot: %w", err)
	}
	return time.Now().Add(-time.Duration(up.Nano())), nil
}

// readStatus reads /proc/pid/status (proc(5)).
func (p *process) readStatus(status []byte) error {
	for l := range strings.Lines(string(status)) {
		values, ok := strings.CutPrefix(l, "Uid:")
		if !ok {
			continue
		}
		for i, f := range strings.Fields(values) {
			uid, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return fmt.Errorf("/proc/%d/status: %w", p.pid, err)
			}
			if i < 2 {
				p.uids = append(p.uids, uint32(uid))
			}
		}
		break
	}
	if len(p.uids) == 0 {
		return fmt.Errorf("/proc/%d/status is not understood", p.pid)
	}
	return nil
}

// ownProc reports why /proc does not show the processes that we can signal. In
// a PID namespace for which it was not mounted anew, its numbers are those of
// others.
func ownProc() error {
	self, err := os.Readlink("/proc/self")
	if err == nil && self != strconv.Itoa(os.Getpid()) {
		err = errors.New("/proc is not that of this PID namespace")
	}
	if err != nil {
		return fmt.Errorf("no process is signalled that cannot be looked at: %w", err)
	}
	return nil
}

// listProcesses returns every process that can be seen.
func listProcesses() ([]process, error) {
	if err := ownProc(); err != nil {
		return nil, err
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// most are not the one: one small read each
		p := process{pid: pid}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil || p.readStat(stat) != nil {
			continue // it has ended meanwhile
		}
		all = append(all, p)
	}
	return all, nil
}
