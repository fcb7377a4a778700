//go:build unix

package helper

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startJournal runs a journal that writes to a file of a new directory, which
// prepare fills. stop ends it, and fails the test if it cannot be ended.
func startJournal(t *testing.T, prepare func(file string) error) (j *journal, file string, log *logBuffer, stop func()) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "events.jsonl")
	if err := prepare(file); err != nil {
		t.Fatal(err)
	}
	log = newLogBuffer()
	j = newJournal(file, slog.New(slog.NewTextHandler(log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.run(ctx) }()
	return j, file, log, func() {
		t.Helper()
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the journal does not end")
		}
	}
}

func makePipe(file string) error { return syscall.Mkfifo(file, 0o600) }

// TestEventsToAPipeThatNobodyReads: it used to hang in its open, and svidhelper
// with it when it was to end.
func TestEventsToAPipeThatNobodyReads(t *testing.T) {
	t.Parallel()
	j, file, log, stop := startJournal(t, makePipe)
	j.note(event{Event: eventPublished})
	log.await(t, 1, "nobody reads the named pipe")

	pipe, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	j.note(event{Event: eventNotified})
	log.await(t, 1, "events are written again")
	stop()
	said, err := io.ReadAll(pipe)
	if events := parseEvents(t, string(said)); err != nil || len(events) != 1 || events[0].Event != eventNotified {
		t.Errorf("%s, %v", said, err)
	}
}

// TestEventsToAPipeThatIsNotEmptied: a reader that does not read is waited for
// for a while, and the next one that does gets whole lines.
func TestEventsToAPipeThatIsNotEmptied(t *testing.T) {
	t.Parallel()
	j, file, log, stop := startJournal(t, makePipe)
	pipe, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	j.note(event{Event: eventFailed, Error: strings.Repeat("x", 1<<20)})
	log.await(t, 1, "events are lost")
	said, err := readSome(pipe)
	if err != nil || len(said) == 0 {
		t.Fatal(len(said), err)
	}
	j.note(event{Event: eventNotified})
	log.await(t, 1, "events are written again")
	stop()
	more, err := io.ReadAll(pipe)
	lines := strings.Split(said+string(more), "\n")
	if err != nil || len(lines) != 3 || len(parseEvents(t, lines[1]+"\n")) != 1 {
		t.Errorf("%d lines, %v; the end: %s", len(lines), err, more)
	}
}

// readSome empties a pipe.
func readSome(pipe *os.File) (string, error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return "", err
	}
	var all []byte
	buf := make([]byte, 1<<16)
	for {
		var n int
		var rerr error
		if err := raw.Control(func(fd uintptr) { n, rerr = syscall.Read(int(fd), buf) }); err != nil {
			return "", err
		}
		if errors.Is(rerr, syscall.EAGAIN) || n <= 0 {
			return string(all), nil
		}
		all = append(all, buf[:n]...)
	}
}

// TestEventsToADirectory: they are lost, once in the log, until there is a file.
func TestEventsToADirectory(t *testing.T) {
	t.Parallel()
	j, file, log, stop := startJournal(t, func(file string) error { return os.Mkdir(file, 0o755) })
	j.note(event{Event: eventPublished})
	log.await(t, 1, "is a directory")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	j.note(event{Event: eventNotified})
	log.await(t, 1, "events are written again")
	stop()
	if events := parseEvents(t, read(file)); len(events) != 1 || events[0].Event != eventNotified {
		t.Error(read(file))
	}
}
