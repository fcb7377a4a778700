//go:build linux || darwin

package hook

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// A Sighting is a process that a hook would signal now.
type Sighting struct {
	PID int
	// Parent is the name of the process that has started it, if that can be seen.
	Parent string
	// Err is why the signal would not be sent to it; nil: it would be.
	Err error
}

// Look finds the processes that a hook with a pid file or a process name would
// signal now, and signals none. It takes the steps (1) to (3) of a signaller, and
// looks once at what each process does with the signal.
func Look(spec Spec) ([]Sighting, error) {
	t, err := newTarget(spec, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	s, ok := t.(*signaller)
	if !ok {
		return nil, errors.New("a hook with a command signals no process")
	}
	found, err := s.finder.find()
	if err != nil {
		return nil, err
	}
	var all []Sighting
	for _, p := range found[:min(len(found), maxTold)] {
		seen := Sighting{PID: p.pid}
		seen.Parent, seen.Err = s.look(p.pid)
		all = append(all, seen)
	}
	return all, nil
}

// look says why a process would not be signalled.
func (s *signaller) look(pid int) (parent string, err error) {
	p, err := lookUpProcess(pid)
	if errors.Is(err, errGone) {
		err = fmt.Errorf("%w: start it, or remove its pid file", err)
	}
	if err != nil {
		return "", err
	}
	if above, err := lookUpProcess(p.parent); err == nil {
		parent = above.name
	}
	if p.dead {
		return parent, errGone
	}
	if err := s.finder.vet(p); err != nil {
		return parent, err
	}
	shown := signals.Open(pid)
	defer shown.Close()
	return parent, s.judge(shown.Handling(s.sig), time.Since(p.started))
}

// judge says why the signal would not be sent to a process of that age. One that
// is young may still install a handler.
func (s *signaller) judge(seen signals.Handling, age time.Duration) error {
	if signals.Harmless(s.sig) || signals.Suspends(s.sig) || signals.MeansEnd(s.sig) || age <= signals.Patience {
		return nil
	}
	switch seen {
	case signals.Default:
		return fmt.Errorf("it has no handler for %s, which would end it: choose a signal that the program expects", signals.Name(s.sig))
	case signals.Ignored:
		return fmt.Errorf("it ignores %s: choose a signal that the program expects", signals.Name(s.sig))
	}
	return nil
}
