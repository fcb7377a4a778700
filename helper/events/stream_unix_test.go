//go:build unix

package events

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
)

// startStream runs a stream that writes to a file of a new directory, which
// prepare fills. stop ends it, and fails the test if it cannot be ended.
func startStream(t *testing.T, prepare func(file string) error) (s *Stream, file string, log *testbed.Log, stop func()) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "events.jsonl")
	if err := prepare(file); err != nil {
		t.Fatal(err)
	}
	log = testbed.NewLog()
	s = New(file, slog.New(slog.NewTextHandler(log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, file, log, func() {
		t.Helper()
		cancel()
		select {
		case <-ended:
		case <-time.After(testbed.Patience):
			t.Fatal("the stream does not end")
		}
	}
}

func makePipe(file string) error { return syscall.Mkfifo(file, 0o600) }

// TestEventsToAPipeThatNobodyReads: it used to hang in its open, and svidhelper
// with it when it was to end.
func TestEventsToAPipeThatNobodyReads(t *testing.T) {
	t.Parallel()
	s, file, log, stop := startStream(t, makePipe)
	s.Note(Event{Event: Published})
	log.Await(t, 1, "has no reader")

	pipe, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	s.Note(Event{Event: Notified})
	log.Await(t, 1, "events are written again")
	stop()
	said, err := io.ReadAll(pipe)
	if events := parseEvents(t, string(said)); err != nil || len(events) != 1 || events[0].Event != Notified {
		t.Errorf("%s, %v", said, err)
	}
}

// TestEventsToAPipeThatIsNotEmptied: a reader that does not read is waited for
// for a while, and the next one that does gets whole lines.
func TestEventsToAPipeThatIsNotEmptied(t *testing.T) {
	t.Parallel()
	s, file, log, stop := startStream(t, makePipe)
	pipe, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	s.Note(Event{Event: Failed, Error: strings.Repeat("x", 1<<20)})
	log.Await(t, 1, "events are lost")
	said, err := readSome(pipe)
	if err != nil || len(said) == 0 {
		t.Fatal(len(said), err)
	}
	s.Note(Event{Event: Notified})
	log.Await(t, 1, "events are written again")
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
	s, file, log, stop := startStream(t, func(file string) error { return os.Mkdir(file, 0o755) })
	s.Note(Event{Event: Published})
	log.Await(t, 1, "is a directory")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.Note(Event{Event: Notified})
	log.Await(t, 1, "events are written again")
	stop()
	if events := parseEvents(t, testbed.Read(file)); len(events) != 1 || events[0].Event != Notified {
		t.Error(testbed.Read(file))
	}
}

// parseEvents returns the events of whole lines.
func parseEvents(t *testing.T, text string) []Event {
	t.Helper()
	var events []Event
	for line := range strings.Lines(text) {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			continue // being written, or not there yet
		}
		events = append(events, e)
	}
	return events
}

// TestEventsToAnotherUsersFile: a file that another user owns, a second name of
// one, and a planted link are refused; the file they lead to stays as it is.
func TestEventsToAnotherUsersFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to own files as two users")
	}
	for name, plant := range map[string]func(victim, file string) error{
		"owned by another user": func(_, file string) error {
			return errors.Join(os.WriteFile(file, nil, 0o666), os.Chown(file, 1234, 1234))
		},
		"a hard link":     func(victim, file string) error { return os.Link(victim, file) },
		"a symbolic link": func(victim, file string) error { return os.Symlink(victim, file) },
	} {
		t.Run(name, func(t *testing.T) {
			var victim string
			s, file, log, stop := startStream(t, func(file string) error {
				victim = filepath.Join(filepath.Dir(file), "victim")
				return errors.Join(os.WriteFile(victim, nil, 0o600), plant(victim, file))
			})
			s.Note(Event{Event: Published})
			log.Await(t, 1, "events are lost")
			stop()
			for _, f := range []string{victim, file} {
				if said, err := os.ReadFile(f); err != nil || len(said) > 0 {
					t.Errorf("%s: %q, %v", f, said, err)
				}
			}
		})
	}
}

// TestEventThatJSONCannotHold: the year 50,000 used to end the program.
func TestEventThatJSONCannotHold(t *testing.T) {
	line := Event{Event: Published, Identities: []Identity{{Expires: time.Date(50_000, 1, 1, 0, 0, 0, 0, time.UTC)}}}.Line()
	if events := parseEvents(t, string(line)); len(events) != 1 || events[0].Error == "" {
		t.Errorf("%s", line)
	}
}
