package helper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
)

// DefaultTimeout bounds Once unless the configuration says otherwise.
const DefaultTimeout = 60 * time.Second

// Once fetches everything that the outputs need, writes it, and returns. It
// waits for what is not there yet, the Workload API itself included, until the
// configured timeout. Nothing is written before everything is there: a failure
// leaves the directories as they were.
func Once(ctx context.Context, c *config.Config, log *slog.Logger) error {
	for i := range c.Outputs {
		if err := encode.Check(&c.Outputs[i]); err != nil {
			return err
		}
	}
	s, err := fetch(ctx, c, log)
	if err != nil {
		return err
	}
	return publish.Once(c.Outputs, s, log)
}

// Get fetches everything that an output needs, as Once does, and returns what would
// be written.
func Get(ctx context.Context, address string, o encode.Output, timeout time.Duration, log *slog.Logger) (encode.Set, error) {
	s, err := fetch(ctx, &config.Config{AgentAddress: address, Outputs: []encode.Output{o}, Timeout: timeout}, log)
	if err != nil {
		return encode.Set{}, err
	}
	return encode.Encode(s, &o), nil
}

// fetch runs a source until its snapshot has everything that the outputs need.
func fetch(ctx context.Context, c *config.Config, log *slog.Logger) (*snapshot.Snapshot, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	cfg := sourceConfig(c)
	cfg.Needs.Dispensable = nil // no process starts without something
	src, err := source.New(cfg, log)
	if err != nil {
		return nil, err
	}
	// The time is not kept by the context: gRPC would tell the server of that
	// deadline, and what it says of it could come first.
	late := time.NewTimer(timeout)
	defer late.Stop()
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- src.Run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	var unusable error
	for said := ""; ; {
		if unusable != nil && unusable.Error() != said {
			said = unusable.Error()
			log.Warn("the answer cannot be used yet: waiting for another", "error", unusable)
		}
		select {
		case <-src.Updates():
		case err := <-ended:
			if ctx.Err() != nil {
				return nil, errors.New("stopped before everything was there; nothing was written")
			}
			return nil, err
		case <-late.C:
			if unusable != nil {
				return nil, fmt.Errorf("nothing was written: what came within %v cannot be used: %w", timeout, unusable)
			}
			return nil, fmt.Errorf("nothing was written: not everything came within %v: %s", timeout, cmp.Or(src.Status().Problem(), "everything has been answered, but not what an output asks for"))
		}
		status := src.Status()
		var whole bool
		if whole, unusable = suffices(status.Snapshot, c.Outputs); whole {
			return status.Snapshot, nil
		}
		if c.OneShot {
			if err := absent(status, c.Outputs); err != nil {
				return nil, fmt.Errorf("nothing was written: %w", err)
			}
		}
	}
}

// absent is why the one-shot of a spiffe-helper file does not wait: the Workload
// API has answered, and its answer lacks an identity that an output asks for.
// With svidhelper fetch there is time for a registration to arrive.
func absent(status *source.Status, outputs []encode.Output) error {
	for _, p := range status.Profiles {
		if p.Reason == source.ReasonAbsent {
			return p.LastError
		}
	}
	if status.Snapshot == nil {
		return nil
	}
	for i := range outputs {
		for _, g := range encode.Encode(status.Snapshot, &outputs[i]).Gaps {
			if g.Absent {
				return g.Err
			}
		}
	}
	return nil
}

// suffices reports whether a snapshot has everything for the outputs, or why
// what it has cannot be used.
func suffices(s *snapshot.Snapshot, outputs []encode.Output) (whole bool, unusable error) {
	if s == nil {
		return false, nil
	}
	whole = true
	for i := range outputs {
		for _, g := range encode.Encode(s, &outputs[i]).Gaps {
			whole = false
			if g.Err != nil {
				return false, fmt.Errorf("output %s: %w", outputs[i].Dir, g.Err)
			}
		}
	}
	return whole, nil
}
