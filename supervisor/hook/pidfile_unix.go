//go:build linux || darwin

package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A pidFile names a process by a file that holds its pid.
type pidFile struct {
	path string
	log  *slog.Logger

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
// A process that began after the file was written has been given a pid that the
// file's process has left; unless the machine's clock was set meanwhile, as one
// without a battery is: then every file from before is older than the machine's
// own start. And a file counts only for its owner's processes, or a user that can
// write the file could make a helper that runs as root signal any process.
func (f *pidFile) vet(p process) error {
	late := p.started.After(f.written.Add(clockSlack))
	if late && f.written.Before(p.boot) {
		f.log.Warn("pid file is older than the machine's start, by the clock of today: the clock was set, and it is trusted",
			"file", f.path, "written", f.written, "boot", p.boot)
	} else if late {
		return fmt.Errorf("pid file %s is stale: it was written at %s, and the process that has this pid now began at %s",
			f.path, f.written.Format(time.RFC3339Nano), p.started.Format(time.RFC3339Nano))
	}
	if f.owner != 0 && f.owner != uint32(os.Geteuid()) && !slices.Contains(p.uids, f.owner) {
		return fmt.Errorf("pid file %s belongs to uid %d, the process to uid %d: not trusted",
			f.path, f.owner, p.uids[0])
	}
	return nil
}

// clockSlack is how much earlier than the truth a file's time may be, and how much
// later a process's start. Some file systems keep every other second only.
const clockSlack = 2 * time.Second
