package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/writer"
)

// DefaultTimeout bounds Once unless the configuration says otherwise.
const DefaultTimeout = 60 * time.Second

// Once fetches everything that the outputs need, writes it, and returns. It
// waits for what is not there yet, the Workload API itself included, until the
// configured timeout. Nothing is written before everything is there: a failure
// leaves the directories as they were.
func Once(ctx context.Context, c *config.Config, log *slog.Logger) error {
	for i := range c.Outputs {
		if err := writer.Check(&c.Outputs[i]); err != nil {
			return err
		}
	}
	sets, err := fetch(ctx, c, log)
	if err != nil {
		return err
	}
	outputs, err := openOutputs(c.Outputs, log)
	if err != nil {
		return err
	}
	for i, o := range outputs {
		change, perr := o.dir.Publish(sets[i])
		if perr != nil {
			err = errors.Join(err, perr)
			continue
		}
		o.set = sets[i]
		o.announce(change)
	}
	return errors.Join(err, closeOutputs(outputs))
}

// fetch runs a source until every output's set is whole.
func fetch(ctx context.Context, c *config.Config, log *slog.Logger) ([]writer.Set, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	deadline, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	cfg := sourceConfig(c)
	src, err := source.New(cfg, log)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- src.Run(deadline) }()
	defer func() { cancel(); <-ended }()
	for {
		select {
		case <-src.Updates():
		case <-deadline.Done():
			if ctx.Err() != nil {
				return nil, fmt.Errorf("stopped before everything was fetched; nothing was written")
			}
			return nil, fmt.Errorf("nothing was written: not everything was there after %v: %s", timeout, source.Explain(src.Status(), cfg.Address))
		case err := <-ended:
			ended <- err
			if deadline.Err() == nil {
				return nil, err
			}
			continue
		}
		sets, whole, err := encodeAll(c.Outputs, src)
		if err != nil {
			log.Warn("not usable yet", "error", err)
		}
		if whole {
			return sets, nil
		}
	}
}

// encodeAll encodes the latest snapshot for every output; whole says that
// nothing is missing.
func encodeAll(outputs []writer.Output, src *source.Source) (sets []writer.Set, whole bool, err error) {
	s := src.Snapshot()
	if s == nil {
		return nil, false, nil
	}
	for i := range outputs {
		set, err := writer.Encode(s, &outputs[i])
		if err != nil {
			return nil, false, err
		}
		if len(set.Awaited) > 0 {
			return nil, false, nil
		}
		sets = append(sets, set)
	}
	return sets, true, nil
}
