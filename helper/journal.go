package helper

import (
	"context"
	"fmt"
	"log/slog"
	"os"
)

// A journal appends events to a file, in an actor of its own: nobody waits for
// its disk. The file is opened for each batch, so that it can be rotated away
// at any time. The zero journal, without a path, forgets everything.
type journal struct {
	path   string
	log    *slog.Logger
	events chan event
}

// journalBacklog is how many events wait for a slow disk; more are dropped, and
// the log says so.
const journalBacklog = 1024

func newJournal(path string, log *slog.Logger) *journal {
	return &journal{path: path, log: log, events: make(chan event, journalBacklog)}
}

// note adds an event. It never blocks.
func (j *journal) note(e event) {
	if j.path == "" {
		return
	}
	select {
	case j.events <- e:
	default:
		j.log.Warn("an event is lost: its file takes too long", "file", j.path, "event", e.Event)
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
	f, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
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
