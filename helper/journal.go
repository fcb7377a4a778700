package helper

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
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

// run writes until ctx ends, and then what is left.
func (j *journal) run(ctx context.Context) error {
	failing := false
	for ending := false; !ending; {
		var batch []byte
		select {
		case e := <-j.events:
			batch = e.line()
		case <-ctx.Done():
			ending = true
		}
		for len(j.events) > 0 {
			batch = append(batch, (<-j.events).line()...)
		}
		if len(batch) == 0 {
			continue
		}
		err := j.append(batch)
		if err != nil && !failing {
			j.log.Error("events are lost", "error", err)
		}
		failing = err != nil
	}
	return nil
}

func (j *journal) append(batch []byte) error {
	path := j.file()
	if path == "" {
		return nil // a new configuration wants none
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("opening the event stream: %w", err)
	}
	_, err = f.Write(batch)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing the event stream: %w", err)
	}
	return nil
}
