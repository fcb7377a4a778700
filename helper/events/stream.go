package events

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

// A Stream appends events to a file, in an actor of its own: no caller waits for
// the disk. The file is opened for each batch, so that it can be rotated away at
// any time. A stream without a path has the last few for Recent alone.
type Stream struct {
	path    atomic.Value // string
	log     *slog.Logger
	stirred chan struct{} // capacity 1
	events  chan *Event   // room for an Event each would be 256 kB
	recent  recent
}

// backlog is how many events wait for a slow disk. More are dropped, and the log
// says so.
const backlog = 1024

// New returns a stream to a file; an empty path means none.
func New(path string, log *slog.Logger) *Stream {
	s := &Stream{log: log, stirred: make(chan struct{}, 1), events: make(chan *Event, backlog)}
	s.Follow(path)
	return s
}

// Follow has events go to another file from now on; empty means nowhere.
func (s *Stream) Follow(path string) { s.path.Store(path) }

func (s *Stream) file() string { return s.path.Load().(string) }

// Note adds an event; one without a time happened now. It never blocks.
func (s *Stream) Note(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	s.recent.add(e)
	s.Stir()
	if s.file() == "" {
		return
	}
	select {
	case s.events <- &e:
	default:
		s.log.Warn("an event is lost: its file takes too long", "file", s.file(), "event", e.Event)
	}
}

// patience bounds the wait for the reader of a named pipe.
const patience = time.Second

// Run writes until ctx ends, and then what is left.
func (s *Stream) Run(ctx context.Context) error {
	var (
		lost int  // events in a row
		torn bool // the last line may be a part of one
	)
	for ending := false; !ending; {
		var batch []byte
		count := 0
		take := func(e *Event) { batch, count = append(batch, e.Line()...), count+1 }
		select {
		case e := <-s.events:
			take(e)
		case <-ctx.Done():
			ending = true
		}
		for len(s.events) > 0 {
			take(<-s.events)
		}
		if count == 0 {
			continue
		}
		if torn {
			batch = slices.Insert(batch, 0, '\n')
		}
		written, err := s.append(batch)
		torn = err != nil && (torn || written > 0)
		switch {
		case err != nil && lost == 0:
			s.log.Error("events are lost", "error", err)
			fallthrough
		case err != nil:
			lost += count
		case lost > 0:
			s.log.Warn("events are written again", "file", s.file(), "lost", lost)
			lost = 0
		}
	}
	return nil
}

// append appends to the file, and returns how many bytes. A named pipe gets them
// while it has a reader: an open that waited for one might never return.
func (s *Stream) append(batch []byte) (written int, err error) {
	path := s.file()
	if path == "" {
		return 0, nil // a new configuration wants none
	}
	f, err := open(path)
	if errors.Is(err, syscall.ENXIO) {
		return 0, fmt.Errorf("opening the event stream: the named pipe %s has no reader", path)
	}
	if err != nil {
		return 0, fmt.Errorf("opening the event stream: %w", err)
	}
	_ = f.SetWriteDeadline(time.Now().Add(patience)) // which regular files do not have
	written, err = f.Write(batch)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return written, fmt.Errorf("writing the event stream: %w", err)
	}
	return written, nil
}

const (
	openFlags = os.O_CREATE | os.O_APPEND | os.O_WRONLY | syscall.O_NONBLOCK
	fileMode  = 0o640
)
