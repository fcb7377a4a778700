package helper

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// An output is one directory and what the rotator knows about it. The rotator
// alone touches it.
type output struct {
	spec    *writer.Output
	dir     *writer.Dir
	encoder *writer.Encoder
	log     *slog.Logger

	set      writer.Set // what was last asked to be on disk
	complete bool       // everything that is configured is on disk
	err      error      // why the last snapshot is not on disk, or nil
	awaited  []string   // what the Workload API has not given yet
}

// openOutputs opens every directory, or none.
func openOutputs(specs []writer.Output, log *slog.Logger) (outputs []*output, err error) {
	defer func() {
		if err != nil {
			closeOutputs(outputs)
		}
	}()
	for i := range specs {
		o, err := openOutput(&specs[i], log)
		if err != nil {
			return outputs, err
		}
		outputs = append(outputs, o)
	}
	return outputs, nil
}

func openOutput(spec *writer.Output, log *slog.Logger) (*output, error) {
	dir, err := writer.Open(spec, log)
	if err != nil {
		return nil, err
	}
	return &output{spec: spec, dir: dir, encoder: writer.NewEncoder(spec), log: log.With("output", spec.Dir)}, nil
}

func closeOutputs(outputs []*output) error {
	var errs []error
	for _, o := range outputs {
		errs = append(errs, o.dir.Close())
	}
	return errors.Join(errs...)
}

// publish puts the snapshot on disk and returns what changed there. A snapshot
// that lacks something is published as far as it goes: what it lacks stays as
// it is on disk. A failure is remembered and leaves the last good set.
func (o *output) publish(s *snapshot.Snapshot) writer.Change {
	set, err := o.encoder.Encode(s)
	if err != nil {
		o.failed(fmt.Errorf("encoding for %s: %w", o.spec.Dir, err))
		return writer.Change{}
	}
	change, err := o.dir.Publish(set)
	if err != nil {
		o.failed(err)
		return writer.Change{}
	}
	o.set, o.awaited = set, set.Awaited
	o.complete = len(set.Awaited) == 0
	if o.err != nil {
		o.log.Info("recovered: the output is on disk again")
		o.err = nil
	}
	if change.Kinds != snapshot.KindNone {
		o.announce(change)
	}
	return change
}

// failed remembers an error, and logs it unless it is the one before again.
func (o *output) failed(err error) {
	if o.err == nil || o.err.Error() != err.Error() {
		o.log.Error("not published, the last good set stays", "error", err)
	}
	o.err = err
}

// announce logs a publish: a line for each identity in what changed.
func (o *output) announce(change writer.Change) {
	if len(o.set.Identities) == 0 {
		o.log.Info("published", "changed", change.Kinds.String())
	}
	for _, id := range o.set.Identities {
		if !change.Kinds.Has(id.Kind) {
			continue
		}
		attrs := []any{"changed", change.Kinds.String(), "spiffe_id", id.ID.String()}
		if id.Serial != "" {
			attrs = append(attrs, "serial", id.Serial)
		}
		o.log.Info("published", append(attrs, "expires", id.NotAfter.UTC())...)
	}
}

// describeAwaited says in words what outputs are waiting for.
func describeAwaited(outputs []*output) string {
	var all []string
	for _, o := range outputs {
		for _, a := range o.awaited {
			all = append(all, fmt.Sprintf("%s for %s", a, o.spec.Dir))
		}
	}
	return strings.Join(all, ", ")
}
