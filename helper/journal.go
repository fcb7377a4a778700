package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// A journal appends events to a file, in an actor of its own: nobody waits for
// its disk. The file is opened for each batch, so that it can be rotated away
// at any time. A journal without a path forgets everything.
type journal struct {
	path   atomic.Value // string
	log    *slog.Logger
	events chan event
}

// journalBacklog is how many events wait for a slow disk; more are dropped, and
// the log says so.
const journalBacklog = 1024

func newJournal(path string, log *slog.Logger) *journal {
	j := &journal{log: log, events: make(chan event, journalBacklog)}
	j.follow(path)
	return j
}

// follow has events go to another file from now on; empty means nowhere.
func (j *journal) follow(path string) { j.path.Store(path) }

func (j *journal) file() string { return j.path.Load().(string) }

// note adds an event. It never blocks.
func (j *journal) note(e event) {
	if j.file() == "" {
		return
	}
	select {
	case j.events <- e:
	default:
		j.log.Warn("an event is lost: its file takes too long", "file", j.file(), "event", e.Event)
	}
}

// journalPatience bounds the wait for whoever reads a named pipe.
const journalPatience = time.Second

// run writes until ctx ends, and then what is left.
func (j *journal) run(ctx context.Context) error {
	var (
		lost int  // events in a row
		torn bool // the last line may be a part of one
	)
	for ending := false; !ending; {
		var batch []byte
		count := 0
		take := func(e event) { batch, count = append(batch, e.line()...), count+1 }
		select {
		case e := <-j.events:
			take(e)
		case <-ctx.Done():
			ending = true
		}
		for len(j.events) > 0 {
			take(<-j.events)
		}
		if count == 0 {
			continue
		}
		if torn {
			batch = slices.Insert(batch, 0, '\n')
		}
		written, err := j.append(batch)
		torn = err != nil && (torn || written > 0)
		switch {
		case err != nil && lost == 0:
			j.log.Error("events are lost", "error", err)
			fallthrough
		case err != nil:
			lost += count
		case lost > 0:
			j.log.Warn("events are written again", "file", j.file(), "lost", lost)
			lost = 0
		}
	}
	return nil
}

// append appends to the file, and returns how many bytes. A named pipe gets them
// while somebody reads it; nobody is waited for in an open that may never
// return.
func (j *journal) append(batch []byte) (written int, err error) {
	path := j.file()
	if path == "" {
		return 0, nil // a new configuration wants none
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK, 0o640)
	if errors.Is(err, syscall.ENXIO) {
		return 0, fmt.Errorf("opening the event stream: nobody reads the named pipe %s", path)
	}
	if err != nil {
		return 0, fmt.Errorf("opening the event stream: %w", err)
	}
	_ = f.SetWriteDeadline(time.Now().Add(journalPatience)) // which files do not have
	written, err = f.Write(batch)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return written, fmt.Errorf("writing the event stream: %w", err)
	}
	return written, nil
}
