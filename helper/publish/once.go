package publish

import (
	"errors"
	"log/slog"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// Once publishes a snapshot that has everything for the outputs, and gives the
// directories back. The caller has checked the outputs (encode.Check). Nothing is
// written unless every directory can be opened.
func Once(specs []encode.Output, s *snapshot.Snapshot, log *slog.Logger) error {
	var outputs []*output
	for _, spec := range specs {
		outputs = append(outputs, newOutput(spec, events.New("", log), log))
	}
	for _, o := range outputs {
		if err := o.open(); err != nil {
			return errors.Join(err, closeAll(outputs))
		}
	}
	var errs []error
	for _, o := range outputs {
		c := Change{At: time.Now()}
		o.publish(s, true, &c)
		c.announce(nil)
		errs = append(errs, o.err)
	}
	return errors.Join(append(errs, closeAll(outputs))...)
}
