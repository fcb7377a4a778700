package helper

import "context"

// A crew is an actor that runs hooks, and exchanges those that a new
// configuration changes.
type crew struct {
	next chan []*hook // capacity 1, latest wins
}

func newCrew() *crew { return &crew{next: make(chan []*hook, 1)} }

// put has the crew run these hooks and no others. It does not block. One
// goroutine at a time may call it.
func (c *crew) put(hooks []*hook) {
	select {
	case <-c.next:
	default:
	}
	c.next <- hooks
}

func (c *crew) run(ctx context.Context) error {
	running := map[*hook]func(){}
	defer func() {
		for _, stop := range running {
			stop()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case hooks := <-c.next:
			wanted := map[*hook]bool{}
			for _, h := range hooks {
				wanted[h] = true
				if running[h] == nil {
					stop, ended := launch(ctx, h.run)
					running[h] = func() { stop(); <-ended }
				}
			}
			for h, stop := range running {
				if !wanted[h] {
					stop()
					delete(running, h)
				}
			}
		}
	}
}
