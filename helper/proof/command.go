package proof

import (
	"context"
	"log/slog"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// run runs the command. It vouches for what was published if it succeeds; nobody has
// seen what the service serves where there is no address to dial.
func (p *Prover) run(ctx context.Context, want Want, r *Result) error {
	timeout := p.cfg.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = time.Until(deadline).Round(time.Millisecond)
	}
	c := hook.Command{
		Argv:    p.cfg.Command,
		Timeout: timeout,
		Log:     slog.New(slog.DiscardHandler), // of the many runs, the last line of the last one is said
	}
	if p.cfg.TLS == "" {
		r.Attempts++
	}
	if err := c.Run(ctx, want.Notice); err != nil {
		return err
	}
	r.Latency = time.Since(want.Published)
	if p.cfg.TLS == "" {
		r.Serial, r.right = want.Serials(), true
	}
	return nil
}
