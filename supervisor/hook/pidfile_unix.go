//go:build linux || darwin

package hook

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A pidFile names a process by a file that holds its pid.
type pidFile struct {
	path string

	// What the last find read.
	pid     int
	written time.Time
	owner   uint32
}

// maxPIDFile is how much of a pid file is read, in bytes. Some hold more than
// the pid, in lines of their own.
const maxPIDFile = 4096

func (f *pidFile) find() ([]process, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return []process{{pid: f.pid}}, nil
}

// read is step (1).
func (f *pidFile) read() error {
	// a FIFO must not hold us, and is refused below
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("read pid file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read pid file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("pid file %s is not a regular file", f.path)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxPIDFile))
	if err != nil {
		return fmt.Errorf("read pid file: %w", err)
	}
	if f.pid, err = parsePID(content); err != nil {
		return fmt.Errorf("pid file %s: %w", f.path, err)
	}
	f.written = info.ModTime()
	f.owner = info.Sys().(*syscall.Stat_t).Uid
	return nil
}

// parsePID returns the number in the first line.
func parsePID(content []byte) (int, error) {
	first, _, _ := bytes.Cut(content, []byte{'\n'})
	first = bytes.TrimSpace(first)
	if len(first) == 0 {
		return 0, errors.New("it is empty")
	}
	pid, err := strconv.ParseUint(string(first), 10, 31)
	if err != nil || pid == 0 {
		return 0, fmt.Errorf("%.20q is not a pid", first)
	}
	return int(pid), nil
}

// vet refuses a process that cannot be the one that the file was written for.
//
// Whoever began after the file was written has been given a pid that the file's
// process has left. And a file's owner speaks for their own processes only, or
// anybody who can write the file could make a helper that runs as root signal
// whom they like.
func (f *pidFile) vet(p process) error {
	if p.started.After(f.written.Add(clockSlack(f.written))) {
		return fmt.Errorf("pid file %s is stale: it was written at %s, and the process that has this pid now began at %s",
			f.path, f.written.Format(time.RFC3339Nano), p.started.Format(time.RFC3339Nano))
	}
	if f.owner != 0 && f.owner != uint32(os.Geteuid()) && !slices.Contains(p.uids, f.owner) {
		return fmt.Errorf("pid file %s belongs to uid %d, the process to uid %d: not trusted",
			f.path, f.owner, p.uids[0])
	}
	return nil
}

// clockSlack is how much earlier than the truth a modification time may be. The
// kernel stamps files with the time of its last tick, at most 10 ms ago, and
// counts starts in steps of 10 ms. Some file systems keep whole seconds only,
// or every other one.
func clockSlack(t time.Time) time.Duration {
	if t.Nanosecond() == 0 {
		return 2 * time.Second
	}
	return 50 * time.Millisecond
}

// A processName names processes by the name that the kernel knows them by.
type processName string

// find returns the processes of that name, without those that descend from
// another one of that name: a master tells its workers itself.
func (n processName) find() ([]process, error) {
	all, err := listProcesses()
	if err != nil {
		return nil, err
	}
	named := make(map[int]bool)
	for _, p := range all {
		if n.is(p) {
			named[p.pid] = true
		}
	}
	var found []process
	for _, p := range all {
		if named[p.pid] && !named[p.parent] {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no process is named %q here; does the pod share its process namespace?", string(n))
	}
	slices.SortFunc(found, func(a, b process) int { return cmp.Compare(a.pid, b.pid) })
	return found, nil
}

func (n processName) is(p process) bool {
	return !p.dead && p.pid != os.Getpid() && p.name == truncateName(string(n))
}

// vet sees whether the process has kept its name since it was found.
func (n processName) vet(p process) error {
	if !n.is(p) {
		return errGone
	}
	return nil
}
