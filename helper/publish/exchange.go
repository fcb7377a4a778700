package publish

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/writer"
)

// exchange opens what specs say and is not open, closes what they do not say any
// more, and returns what is open then. On an error that is what was open before.
// A directory that cannot be published in as it is now is an error for those
// that take the place of others; at the start it is tried again.
func exchange(old []*output, specs []encode.Output, e *events.Stream, log *slog.Logger) ([]*output, error) {
	refused := func(err error) bool {
		var place *writer.PlaceError
		return err != nil && (old != nil || !errors.As(err, &place))
	}
	for i := range specs {
		if err := encode.Check(&specs[i]); refused(err) && serving(old, &specs[i]) == nil {
			return old, err
		}
	}
	outputs := make([]*output, len(specs))
	for i := range specs {
		outputs[i] = cmp.Or(serving(old, &specs[i]), newOutput(specs[i], e, log))
	}
	for _, o := range old { // a directory that changes must be closed to be opened
		if !slices.Contains(outputs, o) {
			_ = o.close()
		}
	}
	for _, o := range outputs {
		if err := o.open(); refused(err) && !slices.Contains(old, o) {
			for _, o := range outputs {
				if !slices.Contains(old, o) {
					_ = o.close()
				}
			}
			return old, err // what was closed is opened again by the next publish
		}
	}
	return outputs, nil
}

// serving returns the output that serves a specification already, if any.
func serving(outputs []*output, spec *encode.Output) *output {
	i := slices.IndexFunc(outputs, func(o *output) bool { return reflect.DeepEqual(&o.spec, spec) })
	if i < 0 {
		return nil
	}
	return outputs[i]
}

func closeAll(outputs []*output) error {
	var errs []error
	for _, o := range outputs {
		errs = append(errs, o.close())
	}
	return errors.Join(errs...)
}

// watch makes one channel of what the outputs' directories say when another
// program has changed them. stop ends the watch and waits for its end.
func watch(ctx context.Context, outputs []*output) (tampered <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	for _, o := range outputs {
		if o.dir == nil {
			continue
		}
		changed := o.dir.Tampered()
		watching.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-changed:
				}
				select {
				case c <- struct{}{}:
				default: // one is waiting already
				}
			}
		})
	}
	return c, func() { cancel(); watching.Wait() }
}
