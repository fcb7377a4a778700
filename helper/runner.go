package helper

import (
	"context"
	"sync"
)

// A part is something that runs until its context ends.
type part func(context.Context) error

// A runner is an actor that runs parts, one for each name, and can exchange one
// for another: a new configuration disturbs nothing that it does not change. A
// part that ends by itself ends the runner, with its error.
type runner struct {
	mu      sync.Mutex
	ctx     context.Context // of run; nil before
	stopAll context.CancelCauseFunc
	parts   map[string]*running
	group   sync.WaitGroup
}

type running struct {
	part  part
	stop  context.CancelFunc
	ended chan struct{}
}

func newRunner() *runner { return &runner{parts: map[string]*running{}} }

// put has the runner stop what it runs under a name, wait for its end, and run p;
// nil means nothing. It does not block.
func (r *runner) put(name string, p part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.parts[name]
	if p == nil {
		p = func(ctx context.Context) error { <-ctx.Done(); return nil }
	}
	r.parts[name] = &running{part: p, stop: func() {}, ended: make(chan struct{})}
	if r.ctx != nil {
		r.start(r.parts[name], old)
	}
}

// start runs a part after the end of another. The runner is locked.
func (r *runner) start(now, old *running) {
	ctx, stop := context.WithCancel(r.ctx)
	now.stop = stop
	if old != nil {
		old.stop()
	}
	r.group.Go(func() {
		defer close(now.ended)
		defer stop()
		if old != nil {
			<-old.ended
		}
		if ctx.Err() != nil {
			return
		}
		if err := now.part(ctx); ctx.Err() == nil {
			r.stopAll(partEnded{err})
		}
	})
}

// partEnded is why the runner ends: a part has ended by itself, with an error or
// without.
type partEnded struct{ err error }

func (partEnded) Error() string { return "a part has ended" }

// run runs the parts until ctx ends or one of them does, and waits for all.
func (r *runner) run(ctx context.Context) error {
	r.mu.Lock()
	r.ctx, r.stopAll = context.WithCancelCause(ctx)
	for _, p := range r.parts {
		r.start(p, nil)
	}
	r.mu.Unlock()
	<-r.ctx.Done()
	r.group.Wait()
	if ended, is := context.Cause(r.ctx).(partEnded); is {
		return ended.err
	}
	return nil
}
