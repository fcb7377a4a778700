package helper

import (
	"context"
	"sync"
)

// A part is something that runs until its context ends.
type part func(context.Context) error

// A slot is an actor that runs one part at a time and can exchange it for
// another, so that a new configuration disturbs nothing that it does not
// change. A part that ends by itself ends the slot, with its error.
type slot struct {
	next chan part // capacity 1, latest wins
}

func newSlot() *slot { return &slot{next: make(chan part, 1)} }

// put has the slot stop what it runs, wait for its end, and run p; nil means
// nothing. It does not block. One goroutine at a time may call it.
func (s *slot) put(p part) {
	select {
	case <-s.next:
	default:
	}
	s.next <- p
}

func (s *slot) run(ctx context.Context) error {
	stop, ended := func() {}, (chan error)(nil)
	for {
		select {
		case <-ctx.Done():
			stop()
			if ended == nil {
				return nil
			}
			return <-ended
		case err := <-ended:
			stop()
			return err
		case p := <-s.next:
			stop()
			if ended != nil {
				<-ended // nobody asks any more how it ended
			}
			stop, ended = launch(ctx, p)
		}
	}
}

func launch(ctx context.Context, p part) (stop context.CancelFunc, ended chan error) {
	if p == nil {
		return func() {}, nil
	}
	ctx, stop = context.WithCancel(ctx)
	ended = make(chan error, 1)
	go func() { ended <- p(ctx) }()
	return stop, ended
}

// with runs companions beside a part. They end with it, and its end is that of
// all; theirs are none.
func with(main part, companions ...part) part {
	return func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		for _, p := range companions {
			running.Go(func() { _ = p(ctx) })
		}
		err := main(ctx)
		stop()
		running.Wait()
		return err
	}
}
