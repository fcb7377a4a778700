package publish

import (
	"errors"
	"log/slog"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// Once publishes a snapshot that has everything for the outputs, and gives the
// directories back.
func Once(specs []encode.Output, s *snapshot.Snapshot, log *slog.Logger) error {
	outputs, err := exchange(nil, specs, events.New("", log), log)
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range outputs {
		var c Change
		o.publish(s, true, &c)
		errs = append(errs, o.err)
	}
	return errors.Join(append(errs, closeAll(outputs))...)
}
